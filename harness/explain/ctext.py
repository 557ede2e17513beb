"""Where in a learner's files a cause is: a condition, a declaration, a call. Texts alone; nothing is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from harness.explain import limits, lines

OUTPUT = re.compile(
    r"perf_submit(?:_skb)?\s*\(|ringbuf_(?:output|submit|reserve)\s*\(|bpf_trace_printk\s*\("
    r"|\.(?:increment|atomic_increment|update|insert|push|lookup_or_(?:try_)?init)\s*\(|lock_xadd"
)
IF = re.compile(r"\bif\s*\(")
FOUND = re.compile(r"\b(\w+)\s*=[^=;]{0,200}(?:lookup\w*|reserve)\s*\(")
"""A variable that is 0 where a map has no such key, or a buffer no room."""
RESULT = re.compile(r"\bPT_REGS_RC\s*\(|\bctx\s*->\s*(?:ax|regs\[0\])")
COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
ASKED_MAX, BLOCK_MAX, CONDITIONS_MAX = 1_000, 4_000, 200
"""Characters of a condition, and of the block behind it, that are looked at; conditions of a program."""


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    path: Path
    line: int


@dataclass(frozen=True)
class Condition:
    """What an `if` asks before a program returns, or before it writes."""

    line: int
    text: str

    @property
    def is_threshold(self) -> bool:
        """Whether it compares by size: what it waits for may be rare."""
        return bool(re.search(r"[<>]", re.sub(r"->|<<|>>", "", self.text)))


@dataclass(frozen=True)
class Sources:
    """The learner's texts: the C text in `path`, the script `file`, all files that travelled."""

    own: str = ""
    path: Path | None = None
    file: Path | None = None
    files: Mapping[Path, str] = field(default_factory=dict)

    def c(self, line: int | None) -> Place | None:
        """A place in the C text."""
        return Place(self.path, line) if self.path and line else None

    def called(self, path: str, line: int) -> Place | None:
        """A place that the guest named, if it is in one of these files."""
        return Place(Path(path), line) if line and Path(path) in self.files else None

    def function(self, name: str) -> tuple[int, str] | None:
        """The line at which the program `name` begins, and its text without comments."""
        first = lines.function_line(self.own, name)
        if first is None:
            return None
        rows = _plain(self.own).splitlines()
        found = lines.body("\n".join(rows), first)
        return first, "\n".join(rows[found.start - 1 : found.stop - 1])

    def empties(self, table: str) -> bool:
        """Whether a program takes entries out of the map again."""
        return re.search(rf"\b{re.escape(table)}\s*\.\s*(?:delete|pop)\s*\(", self.own) is not None

    def first_line(self, name: str) -> int | None:
        """Where the program `name` begins."""
        return lines.function_line(self.own, name) if self.own else None

    def takes_pid(self, name: str) -> bool:
        """Whether the program asks for the process's id."""
        found = self.function(name)
        return found is not None and "bpf_get_current_pid_tgid" in found[1]

    def filters(self, name: str) -> list[Condition]:
        """The conditions on which the program returns before it writes; checks for NULL are none."""
        found = self.function(name)
        return list(_conditions(*found)) if found else []

    def result_line(self, name: str) -> int | None:
        """Where the program reads a function's result."""
        found = self.function(name)
        if found is None or not (read := RESULT.search(found[1])):
            return None
        return found[0] + found[1].count("\n", 0, read.start())

    def key_line(self, table: str) -> int | None:
        """Where a variable of a map's key type is declared and not set, else where the map is declared."""
        text = _plain(self.own)
        made = re.search(rf"\bBPF_\w+\s*\(\s*{re.escape(table)}\s*,\s*(?:struct\s+)?(\w+)", text)
        if not made:
            return None
        bare = re.search(rf"\b{re.escape(made[1])}\s+\w+\s*;", text)
        return text.count("\n", 0, (bare or made).start()) + 1

    def field_place(self, reader: str, name: str) -> Place | None:
        """Where a script's class `reader` has the field, else where the class or the format is."""
        for path, text in sorted(self.files.items(), key=lambda one: one[0] != self.file):
            if path.suffix != ".py":
                continue
            rows = text.splitlines()[: limits.OWN_LINES_MAX]
            head = rf"^\s*class\s+{re.escape(reader)}\b"
            first = next((n for n, row in enumerate(rows, 1) if re.search(head, row)), None)
            if first is None:
                first = next((n for n, row in enumerate(rows, 1) if f'"{reader}"' in row or f"'{reader}'" in row), None)
                if first is None:
                    continue
                return Place(path, first)
            quoted = re.compile(rf"[\"']{re.escape(name)}[\"']")
            for number in range(first, len(rows)):
                if name and quoted.search(rows[number]):
                    return Place(path, number + 1)
                if number > first and re.match(r"\S", rows[number]):
                    break
            return Place(path, first)
        return None


def _plain(text: str) -> str:
    """`text` with spaces in place of comments; its lines keep their numbers."""
    return COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _conditions(first: int, text: str) -> Iterator[Condition]:
    absent = {found[1] for found in FOUND.finditer(text)}
    for found in islice(IF.finditer(text), CONDITIONS_MAX):
        end = _closing(text, found.end() - 1)
        asked = text[found.end() : end]
        after = text[end + 1 : end + BLOCK_MAX].lstrip().removeprefix("{").lstrip()
        returns = after.startswith("return")
        guards = not returns and OUTPUT.search(_block(text[end + 1 : end + BLOCK_MAX])) is not None
        parts = [part.strip(" ()\n\t") for part in re.split(r"\|\||&&", asked)]
        if (returns or guards) and not all(_is_null_check(part, absent) for part in parts):
            yield Condition(first + text.count("\n", 0, found.start()), asked.strip())


def _is_null_check(part: str, absent: set[str]) -> bool:
    """Whether the part asks if something was found at all."""
    found = re.fullmatch(r"!?\s*(\w+)\s*(?:[!=]=\s*(?:0|NULL))?", part)
    return bool(found and found[1] in absent)


def _closing(text: str, opened: int) -> int:
    """The index of the bracket that closes the one at `opened`."""
    depth = 0
    for at in range(opened, min(len(text), opened + ASKED_MAX)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    return min(len(text), opened + ASKED_MAX)


def _block(text: str) -> str:
    """The statement, or the block in braces, that `text` begins with."""
    text = text.lstrip()
    if not text.startswith("{"):
        return text.partition(";")[0] + ";"
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter == "{") - (letter == "}")
        if depth == 0:
            return text[: at + 1]
    return text
