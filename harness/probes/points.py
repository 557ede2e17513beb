"""The points at which a probe can be attached, as the lab lists them: text of a guest's, checked row by row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.protocol.visible import visible

FUNCTION = re.compile(r"([A-Za-z_][\w.$]{0,511})(?: \[([\w-]{1,64})\])?")
"""A row of available_filter_functions (Documentation/trace/ftrace.rst, Linux 6.12)."""
INVALID = "__ftrace_invalid_address__"
"""How the rows begin whose function was not linked in (kernel/trace/ftrace.c, Linux 6.12)."""
BLACKLISTED = re.compile(r"0x[0-9a-f]{1,16}-0x[0-9a-f]{1,16}\t([\w.$]{1,512}(?:\+0x[0-9a-f]+)?)(?: \[[\w-]+\])?")
"""A row of kprobes/blacklist (Documentation/trace/kprobes.rst, Linux 6.12)."""
EVENT = re.compile(r"[\w-]{1,128}:[\w-]{1,128}")
"""A row of available_events."""
FIELD = re.compile(r"\tfield:([^;]{1,512});\toffset:\d{1,9};\tsize:\d{1,9};(?:\tsigned:-?\d;)?")
"""A field's row of an event's format (Documentation/trace/events.rst, Linux 6.12)."""
BEGIN = re.compile(r"^name: ([\w-]{1,128})\n", re.MULTILINE)
COMMON = re.compile(r"\bcommon_\w+$")
SYMBOL = re.compile(r"([\w.$]{1,512})(?:@@?[\w.]{1,128})? [TtWwi] [0-9a-f]{1,16}(?: [0-9a-f]{1,16})?")
"""A function's row of `nm -f posix`: name, version, type, value, size."""
PROVIDER = re.compile(r"  stapsdt\s+0x[0-9a-f]{1,8}\s+NT_STAPSDT[^:]{1,64}\s+Provider: ([\w-]{1,128})")
NAMED = re.compile(r"\s+Name: ([\w-]{1,128})")
SEMAPHORE = re.compile(r"\s+Location: 0x[0-9a-f]{1,16}, Base: 0x[0-9a-f]{1,16}, Semaphore: (0x[0-9a-f]{1,16})")
ARGUMENTS = re.compile(r"\s+Arguments:(.{0,2048})")


class OddAnswer(ValueError):
    """What the lab printed is not what was asked for."""


@dataclass(frozen=True)
class Function:
    """A kernel function that ftrace, and so fentry, can stop at, and a kprobe too."""

    name: str
    module: str = ""
    """Empty: the kernel itself."""
    same: int = 1
    """How many functions have this name."""
    returns: str = ""
    takes: tuple[str, ...] | None = None
    """Its arguments as C declares them; None where the kernel's BTF does not say."""


@dataclass(frozen=True)
class Tracepoint:
    """A tracepoint, with the fields of its record, but for those that all have."""

    name: str
    """CATEGORY:NAME."""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Symbol:
    """A function of a file in the lab, for a uprobe."""

    name: str


@dataclass(frozen=True)
class Usdt:
    """A probe that a program's author left in it."""

    name: str
    """PROVIDER:NAME."""
    arguments: int
    places: int
    """In the code."""
    asleep: bool
    """Whether it is off until a tracer raises its semaphore."""


Point = Function | Tracepoint | Symbol | Usdt


@dataclass(frozen=True)
class Listed:
    """All points of a kernel, or of a file, by name, in the lab's order."""

    functions: dict[str, Function] = field(default_factory=dict)
    tracepoints: dict[str, Tracepoint] = field(default_factory=dict)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    usdt: dict[str, Usdt] = field(default_factory=dict)


def functions(rows: str, blacklist: str) -> dict[str, Function]:
    """Name → function, of the kernel's two lists; what refuses a kprobe is left out. OddAnswer for no such list."""
    refused = {found[1] for found in _all(BLACKLISTED, blacklist.splitlines())}
    there = [row for row in rows.splitlines() if not row.startswith(INVALID)]
    named = [(found[1], found[2] or "") for found in _all(FUNCTION, there)]
    count = Counter(name for name, _ in named)
    return {name: Function(name, module, count[name]) for name, module in named if name not in refused}


def tracepoints(rows: str) -> dict[str, Tracepoint]:
    """Name → tracepoint, its fields not known yet; OddAnswer where the list is none."""
    return {found[0]: Tracepoint(found[0]) for found in _all(EVENT, rows.splitlines())}


def fields(formats: str) -> list[tuple[str, tuple[str, ...]]]:
    """Name, without its category, and fields of each format in the order in which they were printed."""
    found: list[tuple[str, tuple[str, ...]]] = []
    _, *texts = BEGIN.split(formats)
    for name, text in zip(texts[::2], texts[1::2], strict=True):
        rows = [row for row in text.splitlines() if row.startswith("\tfield:")]
        declared = [match[1] for match in _all(FIELD, rows)]
        found.append((name, tuple(one for one in declared if not COMMON.search(one.split("[")[0]))))
    return found


def symbols(rows: str) -> dict[str, Symbol]:
    """Name → function, of what `nm -f posix` prints; rows of data are passed over."""
    names = sorted({found[1] for row in rows.splitlines() if (found := SYMBOL.fullmatch(row.rstrip()))})
    return {name: Symbol(name) for name in names}


def usdt(notes: str) -> dict[str, Usdt]:
    """Name → probe, of what `readelf --notes` prints; other notes are passed over."""
    found: dict[str, Usdt] = {}
    provider = name = ""
    asleep = False
    for row in notes.splitlines():
        if match := PROVIDER.fullmatch(row):
            provider = match[1]
        elif match := NAMED.fullmatch(row):
            name = match[1]
        elif match := SEMAPHORE.fullmatch(row):
            asleep = int(match[1], 16) != 0
        elif provider and name and (match := ARGUMENTS.fullmatch(row)):
            full = f"{provider}:{name}"
            places = found[full].places + 1 if full in found else 1
            found[full] = Usdt(full, len(match[1].split()), places, asleep)
            provider = name = ""
    return found


def _all(pattern: re.Pattern[str], rows: list[str]) -> Iterator[re.Match[str]]:
    for row in rows:
        found = pattern.fullmatch(row)
        if found is None:
            raise OddAnswer(f"a row that is none: {visible(row[:200])}")
        yield found
