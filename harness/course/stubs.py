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
from dataclasses import dataclass
from pathlib import Path

from harness.course.catalog import Lesson
from harness.errors import UsageError

BEGIN = re.compile(r"^(?P<indent>\s*)(?P<comment>#|//) TODO (?P<number>\d+): (?P<text>.+)$")
END = re.compile(r"^\s*(?:#|//) end of TODO (?P<number>\d+)$")


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
    """The stub of a solution's text, or the solution with the hole `only` open.

    UsageError names the line of a mark that does not pair up.
    """
    out: list[str] = []
    region: list[str] = []
    begin: re.Match[str] | None = None
    for number, line in enumerate(source.splitlines(), 1):
        opens, closes = BEGIN.match(line), END.match(line)
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
    found = {}
    for name in lesson.edited:
        path = lesson.folder("solutions") / name
        found[name] = stub_of(path.read_text(), path)
    return found


def holes(lesson: Lesson) -> list[Hole]:
    """The holes of the lesson's stubs, in the order of their numbers; each at its place in the stub."""
    found = []
    for name, text in stubs(lesson).items():
        for number, line in enumerate(text.splitlines(), 1):
            match = re.search(r'(?:// |NotImplementedError\(")TODO (\d+): (.*?)(?:"\))?$', line)
            if match:
                found.append(Hole(int(match[1]), match[2], lesson.folder() / name, number))
    return sorted(found, key=lambda hole: hole.number)


def open_hole(lesson: Lesson, code: Path, number: int) -> Hole | None:
    """Hole `number` if it stands untouched in the files in `code`."""
    return open_holes(lesson, code).get(number)


def open_holes(lesson: Lesson, code: Path) -> dict[int, Hole]:
    """Number → hole, of those that stand untouched in `code`: their line, and the one after it, as in the stub."""
    found: dict[int, Hole] = {}
    for name, stub in stubs(lesson).items():
        stub_lines, path = stub.splitlines(), code / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        for index, line in enumerate(stub_lines):
            match = re.search(r"TODO (\d+): (.*?)(?:\"\))?$", line)
            if match is None:
                continue
            for here in range(len(lines)):
                if lines[here : here + 2] == stub_lines[index : index + 2]:
                    number = int(match[1])
                    found.setdefault(number, Hole(number, match[2], path, here + 1))
                    break
    return found
