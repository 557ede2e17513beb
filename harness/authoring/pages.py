"""Pages show code and transcripts that are taken from files and from runs, and so cannot drift from them.

    <!-- code: path -->                 the whole file follows as a fenced block
    <!-- code: path#region -->          the lines between `# region NAME` and `# endregion` (in C, with `//`)
    <!-- run: COMMAND -->               what the command prints on standard output follows
    <!-- run: COMMAND | varies: REGEX | exits: 1 -->
    <!-- lessons: TRACK -->             the table of that track's lessons follows

A directive begins its line, outside of fenced blocks, and its block follows directly.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.authoring import transcripts
from harness.course import files
from harness.course.catalog import TRACKS, Lesson
from harness.errors import LabError, UsageError

DIRECTIVE = re.compile(r"<!-- (?P<kind>code|run|lessons)(?:: (?P<argument>.*?))? *-->\s*")
OPTION = re.compile(r"\s\|\s+(?=(?:varies|exits): )")
FENCE = re.compile(r"(`{3,}|~{3,})(.*)")
REGION = re.compile(r"\s*(?:#|//) region (?P<name>\S+)\s*")
ENDREGION = re.compile(r"\s*(?:#|//) endregion\b.*")
LANGUAGES = {".py": "python", ".c": "c", ".h": "c", ".sh": "sh", ".toml": "toml", ".json": "json"}
FILES = ("code", "lessons")
"""Kinds of blocks that are taken from files."""
ALL = (*FILES, "run")
RUN_TIMEOUT_S = 600
LAB_FAILED = LabError.exit_code


@dataclass(frozen=True)
class Command:
    """What a `run` directive says."""

    argv: tuple[str, ...]
    varies: tuple[str, ...]
    exits: int = 0


@dataclass(frozen=True)
class Block:
    """One directive of a page, and the lines below that it fills."""

    page: Path
    line: int
    """Of the directive, 1-based."""
    kind: str
    argument: str
    begin: int
    end: int
    """The block is the page's lines [begin:end], its fence included; nothing there yet: begin == end."""
    text: str | None
    """What the block holds now; None where there is none."""

    @property
    def place(self) -> str:
        """Page and line, as an editor takes them."""
        return f"{_short(self.page)}:{self.line}"


def _short(page: Path) -> str:
    return f"{page.parent.name}/{page.name}"


def blocks(page: Path) -> list[Block]:
    """All directives of `page`; UsageError names the line of one that cannot be understood."""
    if not files.exists(page):
        raise UsageError(f"{_short(page)}: there is no such page")
    lines = _lines_of(page)
    found = []
    fence = ""
    for index, line in enumerate(lines):
        if fence:
            fence = "" if _closes(line, fence) else fence
        elif match := DIRECTIVE.fullmatch(line):
            found.append(_block(page, lines, index, match))
        elif opens := FENCE.match(line):
            fence = opens[1]
    return found


def _lines_of(page: Path) -> list[str]:
    """The page's lines; not one byte of a page that is rewritten may be replaced."""
    try:
        return files.read(page).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{_short(page)}: not valid UTF-8 (byte {error.start})") from error


def _block(page: Path, lines: list[str], index: int, match: re.Match[str]) -> Block:
    kind, argument = match["kind"], match["argument"] or ""
    if not argument:
        raise UsageError(f"{_short(page)}:{index + 1}: `<!-- {kind}: … -->` is how it is written")
    begin = end = index + 1
    text = None
    if kind == "lessons":
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
        text = "\n".join(lines[begin:end]) if end > begin else None
    elif begin < len(lines) and (opens := FENCE.match(lines[begin])):
        while not (end + 1 < len(lines) and _closes(lines[end + 1], opens[1])):
            end += 1
            if end >= len(lines):
                raise UsageError(f"{_short(page)}:{begin + 1}: this block is never closed")
        text = "\n".join(lines[begin + 1 : end + 1])
        end += 2
    return Block(page, index + 1, kind, argument, begin, end, text)


def _closes(line: str, fence: str) -> bool:
    return line.rstrip().strip(fence[0]) == "" and line.startswith(fence)


def code(root: Path, block: Block) -> str:
    """The file or region that a `code` block shows; UsageError names page and line where there is no such thing."""
    name, _, region = block.argument.partition("#")
    path = root / name
    if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{block.place}: there is no file {name}")
    lines = files.read_text(path).splitlines()
    if region:
        lines = _region(lines, region, block.place, name)
    shown = [line for line in lines if not REGION.fullmatch(line) and not ENDREGION.fullmatch(line)]
    return textwrap.dedent("\n".join(shown)).strip("\n")


def _region(lines: list[str], wanted: str, place: str, name: str) -> list[str]:
    begins = [i for i, line in enumerate(lines) if (match := REGION.fullmatch(line)) and match["name"] == wanted]
    if len(begins) != 1:
        raise UsageError(f"{place}: {name} has {len(begins) or 'no'} region {wanted!r}")
    depth = 0
    for index in range(begins[0], len(lines)):
        depth += bool(REGION.fullmatch(lines[index])) - bool(ENDREGION.fullmatch(lines[index]))
        if depth == 0:
            return lines[begins[0] + 1 : index]
    raise UsageError(f"{place}: region {wanted!r} of {name} has no end")


def command(block: Block) -> Command:
    """The command of a `run` block, with what may vary and the exit status that it should have."""
    line, *options = OPTION.split(block.argument)
    given = [option.split(": ", 1) for option in options]
    try:
        varies = tuple(re.compile(value).pattern for name, value in given if name == "varies")
        exits = [int(value) for name, value in given if name == "exits"]
        return Command(tuple(shlex.split(line)), varies, exits[-1] if exits else 0)
    except (ValueError, re.error) as error:
        raise UsageError(f"{block.place}: {error}") from error


def transcript(root: Path, block: Block) -> str:
    """What the command of a `run` block prints now. UsageError where it ends otherwise than the page says."""
    told = command(block)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
    }
    try:
        done = subprocess.run(
            told.argv, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=RUN_TIMEOUT_S
        )
    except OSError as error:
        raise UsageError(f"{block.place}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{block.place}: {told.argv[0]} did not end within {RUN_TIMEOUT_S} s") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == LAB_FAILED != told.exits and told.argv[0] == "workbook":
        raise LabError(f"{block.place}: {said}")
    if done.returncode != told.exits:
        raise UsageError(f"{block.place}: exit status {done.returncode}, not {told.exits}: {said}")
    lines = done.stdout.decode(errors="replace").replace("\r\n", "\n").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _of_track(block: Block, lessons: Iterable[Lesson]) -> list[Lesson]:
    """The lessons of the track that a `lessons` block names; UsageError where it is none."""
    if block.argument not in TRACKS:
        raise UsageError(f"{block.place}: {block.argument!r} is no track (known: {', '.join(TRACKS)})")
    return [lesson for lesson in lessons if lesson.track == block.argument]


def table(lessons: Iterable[Lesson]) -> str:
    """The lessons, what each is about, the BCC names that it teaches."""
    rows = ["| lesson | what it is about | BCC names that it teaches |", "|---|---|---|"]
    for lesson in lessons:
        names = ", ".join(f"`{name}`" for name in lesson.teaches)
        rows.append(f"| [{lesson.name}]({lesson.page.name}) | {lesson.title} (`{lesson.topic}`) | {names} |")
    return "\n".join(rows)


@dataclass(frozen=True)
class Change:
    """A block that does not hold what it should."""

    block: Block
    wanted: str

    def __str__(self) -> str:
        return f"{self.block.place}: {self.block.kind} {self.block.argument}".rstrip()


def changes(page: Path, root: Path, lessons: Iterable[Lesson], kinds: tuple[str, ...]) -> Iterator[Change]:
    """The blocks of `page`, of these kinds only, that differ from their files, runs, or lessons."""
    now: dict[str, Callable[[Block], str]] = {
        "code": lambda block: code(root, block),
        "run": lambda block: transcript(root, block),
        "lessons": lambda block: table(_of_track(block, lessons)),
    }
    for block in blocks(page):
        if block.kind in kinds:
            wanted = now[block.kind](block)
            if block.text is None or not _is_same(block, wanted):
                yield Change(block, wanted)


def _is_same(block: Block, wanted: str) -> bool:
    assert block.text is not None
    if block.kind == "run":
        return transcripts.same(block.text, wanted, command(block).varies)
    return block.text == wanted


def rewrite(page: Path, found: list[Change]) -> None:
    """Put what is wanted into the page, all at once."""
    lines = _lines_of(page)
    for change in sorted(found, key=lambda change: change.block.begin, reverse=True):
        lines[change.block.begin : change.block.end] = _lines(change)
    files.write(page, "\n".join(lines).encode() + b"\n")


def _lines(change: Change) -> list[str]:
    inside = change.wanted.splitlines()
    if change.block.kind == "lessons":
        return inside
    name = change.block.argument.partition("#")[0]
    language = LANGUAGES.get(Path(name).suffix, "text") if change.block.kind == "code" else "text"
    longest = max((len(run) for run in re.findall("`+", change.wanted)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *inside, fence]


def pages(root: Path) -> list[Path]:
    """All pages."""
    return sorted((root / "docs").glob("*.md"))
