"""Where each TODO's region lies in the learner's files, and which BPF programs run its lines.

A region is what lies between the lines that the stub gives; the programs are read from the reference, by its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from harness.course.catalog import Lesson
from harness.course.files import read_text
from harness.course.stubs import BEGIN, END, HOLE, stub_of

PROBE = re.compile(r"^(?P<macro>[A-Z_]+_PROBE)\((?P<first>\w+)(?:,\s*(?P<second>\w+))?")
FUNCTION = re.compile(r"^(?P<before>[A-Za-z_].*?)\b(?P<name>\w+)\(")
MACROS = {
    "TRACEPOINT_PROBE": "tracepoint__{0}__{1}",
    "RAW_TRACEPOINT_PROBE": "raw_tracepoint__{0}",
    "KFUNC_PROBE": "kfunc__vmlinux__{0}",
    "KRETFUNC_PROBE": "kretfunc__vmlinux__{0}",
    "LSM_PROBE": "lsm__{0}",
}
"""How BCC names the function that a macro begins (src/cc/export/helpers.h, BCC 0.35)."""


@dataclass(frozen=True)
class Region:
    """One TODO's lines in a file of the learner's."""

    number: int
    path: Path
    first: int
    """1-based, as all lines here."""
    last: int
    line: int
    """The first line of code in it, else `first`."""
    programs: frozenset[str]
    """The C functions that the kernel runs it in, or that its Python is about; empty where that is not known."""


@dataclass(frozen=True)
class _Function:
    name: str
    first: int
    last: int
    is_program: bool
    text: str


def regions_in(lesson: Lesson, files: Mapping[Path, bytes], code: Path) -> dict[int, Region]:
    """Number → region, of those whose surroundings are still found in `files` below `code`."""
    found: dict[int, Region] = {}
    sources = {name: read_text(lesson.folder("solutions") / name) for name in lesson.edited}
    functions = [one for name, text in sources.items() if name.endswith(".c") for one in _functions(text)]
    for name, source in sources.items():
        path = code / name
        if path not in files:
            continue
        lines = files[path].decode(errors="replace").splitlines()
        of = dict(_programs(source, functions, name.endswith(".c")))
        for number, first, last in _places(stub_of(source, path).splitlines(), lines):
            line = _code_line(lines, first, last)
            found[number] = Region(number, path, first, last, line, of.get(number, frozenset()))
    return found


def at(regions: Mapping[int, Region], path: Path, line: int) -> Region | None:
    """The region that `line` of `path` lies in."""
    return next((one for one in regions.values() if one.path == path and one.first <= line <= one.last), None)


def functions_of(text: str) -> list[str]:
    """The names of the functions in a BPF program that the kernel can run."""
    return [one.name for one in _functions(text) if one.is_program]


def _places(stub: list[str], lines: list[str]) -> Iterator[tuple[int, int, int]]:
    """Number, first and last line of each region: between the nearest lines of the stub that are still there."""
    same: dict[int, int] = {}
    for block in SequenceMatcher(None, stub, lines, autojunk=False).get_matching_blocks():
        same |= {block.a + step: block.b + step for step in range(block.size)}
    for index, text in enumerate(stub):
        if (hole := HOLE.search(text)) is None:
            continue
        after = index + (2 if stub[index + 1 : index + 2] and stub[index + 1].strip() == "return 0;" else 1)
        before = next((same[at] for at in range(index - 1, -1, -1) if at in same), -1)
        behind = next((same[at] for at in range(after, len(stub)) if at in same), len(lines))
        if before + 1 < behind:
            yield int(hole["number"]), before + 2, behind


def _code_line(lines: list[str], first: int, last: int) -> int:
    """The first of these lines that is neither empty nor a comment."""
    filled = (at for at in range(first, last + 1) if not re.match(r"\s*(//|#(?!\w)|$)", lines[at - 1]))
    return next(filled, first)


def _functions(text: str) -> Iterator[_Function]:
    """The functions of a C file whose bodies end with a `}` of their own line."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        probe, plain = PROBE.match(line), FUNCTION.match(line)
        if probe:
            name = MACROS.get(probe["macro"], "{0}").format(probe["first"], probe["second"])
        elif plain and not line.rstrip().endswith(";"):
            name = plain["name"]
        else:
            continue
        last = next((at for at in range(index, len(lines)) if lines[at].startswith("}")), len(lines) - 1)
        helper = not probe and bool(re.search(r"\b(static|inline)\b", plain["before"] if plain else ""))
        yield _Function(name, index + 1, last + 1, not helper, "\n".join(lines[index : last + 1]))


def _programs(source: str, functions: list[_Function], is_c: bool) -> Iterator[tuple[int, frozenset[str]]]:
    """Number of each region → the programs that run it, or that its Python names."""
    begin, number = 0, 0
    lines = source.splitlines()
    programs = [one for one in functions if one.is_program]
    alone = programs if len(programs) == 1 else []
    for index, line in enumerate(lines, 1):
        if opens := BEGIN.match(line):
            begin, number = index, int(opens["number"])
        elif END.match(line):
            if is_c:
                inside = [one for one in functions if one.first <= index and begin <= one.last]
            else:
                words = set(re.findall(r"\w+", "\n".join(lines[begin : index - 1])))
                inside = [one for one in functions if one.is_program and one.name in words] or alone
            yield number, frozenset(name for one in inside for name in _run_by(one, functions))


def _run_by(function: _Function, functions: list[_Function]) -> set[str]:
    """The programs in which `function` runs: itself, or those that call it."""
    if function.is_program:
        return {function.name}
    callers = [one for one in functions if one is not function and re.search(rf"\b{function.name}\(", one.text)]
    return {name for one in callers for name in _run_by(one, functions)}
