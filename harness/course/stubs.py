"""The stub is the solution with its marked regions cut out; nothing else is a source of it.

A region begins with a comment `TODO n: text` and ends with `end of TODO n`, in the comment form of its file:

    # TODO 1: attach the probe          // TODO 2: print the process id
    bpf.attach_kprobe(...)              bpf_trace_printk(...);
    # end of TODO 1                     return 0;
                                        // end of TODO 2

In Python the region becomes `raise NotImplementedError("TODO 1: text")`. In C its comment stays, and where the region
ended with a return, `return 0;`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.course.catalog import Lesson
from harness.course.files import read_text
from harness.course.tables import is_printable
from harness.errors import UsageError

BEGIN = re.compile(r"^(?P<indent>\s*)(?P<comment>#|//) TODO (?P<number>[0-9]{1,3}): (?P<text>.+)$")
END = re.compile(r"^\s*(?:#|//) end of TODO (?P<number>[0-9]{1,3})$")
HOLE = re.compile(r'(?:// |NotImplementedError\(")TODO (?P<number>[0-9]{1,3}): (?P<text>.*?)(?:"\))?$')
"""A TODO as it is in a stub."""


@dataclass(frozen=True)
class Hole:
    """A TODO in a stub, or in the learner's copy of one."""

    number: int
    text: str
    path: Path
    line: int
    """1-based."""

    def __str__(self) -> str:
        return f"TODO {self.number}: {self.text}"


def stub_of(source: str, path: Path, only: int | None = None) -> str:
    """The stub of a solution's text, or the solution with only TODO `only` open.

    UsageError names the line of a mark that does not pair up.
    """
    out: list[str] = []
    region: list[str] = []
    begin: re.Match[str] | None = None
    for number, line in enumerate(source.splitlines(), 1):
        opens, closes = BEGIN.match(line), END.match(line)
        if opens and not is_printable(line, breaks="\t"):
            raise UsageError(f"{path}:{number}: a TODO holds a character that cannot be shown")
        if begin is None:
            if closes:
                raise UsageError(f"{path}:{number}: this region was never begun")
            if opens:
                begin, region = opens, []
            else:
                out.append(line)
        elif closes and closes["number"] == begin["number"]:
            out += region if only not in (None, int(begin["number"])) else _hole(begin, region)
            begin = None
        elif opens or closes:
            raise UsageError(f"{path}:{number}: TODO {begin['number']} is still open here")
        else:
            region.append(line)
    if begin is not None:
        raise UsageError(f"{path}: TODO {begin['number']} has no end")
    return "\n".join(out) + "\n"


def _hole(begin: re.Match[str], region: list[str]) -> list[str]:
    todo = f"TODO {begin['number']}: {begin['text']}"
    if begin["comment"] == "#":
        quoted = todo.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{begin["indent"]}raise NotImplementedError("{quoted}")']
    last = next((line.strip() for line in reversed(region) if line.strip()), "")
    returns = [f"{begin['indent']}return 0;"] if last.startswith("return") else []
    return [f"{begin['indent']}// {todo}", *returns]


def stubs(lesson: Lesson) -> dict[str, str]:
    """File name → stub, for each file that the learner edits."""
    paths = [lesson.folder("solutions") / name for name in lesson.edited]
    return {path.name: stub_of(read_text(path), path) for path in paths}


def holes(lesson: Lesson) -> list[Hole]:
    """The TODOs of the lesson's stubs, in the order of their numbers; each at its place in the stub."""
    found = [hole for name, text in stubs(lesson).items() for hole in _holes_of(text, lesson.folder() / name)]
    return sorted(found, key=lambda hole: hole.number)


def _holes_of(stub: str, path: Path) -> Iterator[Hole]:
    for number, line in enumerate(stub.splitlines(), 1):
        if match := HOLE.search(line):
            yield Hole(int(match["number"]), match["text"], path, number)


def holes_in(lesson: Lesson, files: Mapping[Path, bytes], code: Path) -> dict[int, Hole]:
    """Number → TODO, of those that are untouched in `files` below `code`.

    Untouched is a line of the stub together with the one after it.
    """
    found: dict[int, Hole] = {}
    for name, stub in stubs(lesson).items():
        path = code / name
        lines, stub_lines = files.get(path, b"").decode(errors="replace").splitlines(), stub.splitlines()
        for hole in _holes_of(stub, path):
            at = _at(lines, stub_lines[hole.line - 1 : hole.line + 1])
            if at is not None:
                found.setdefault(hole.number, Hole(hole.number, hole.text, path, at + 1))
    return found


def _at(lines: list[str], wanted: list[str]) -> int | None:
    """The index of the first place where `wanted`, a line and the one after it, is found."""
    at = -1
    while True:
        try:
            at = lines.index(wanted[0], at + 1)
        except ValueError:
            return None
        if lines[at : at + 2] == wanted:
            return at
