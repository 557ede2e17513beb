"""Two runs of one command print the same, apart from what may differ between runs: process ids, times, addresses,
and the names of the guest's kernel and architecture.

What may differ is replaced by a mark before the two are compared. A number that changed its width moves what stands
beside it, so in a line with a mark runs of spaces count as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MARK = "\N{LOWER HALF BLOCK}"
"""Stands for what may differ; nothing prints it by itself."""
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
AFTER_ID = re.compile(r"(?i)(\b(?:p?pid|tid)\b\W{0,3})\d+")
FRACTION = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?!\.?\d)")
HEADING = re.compile(r"(?<!\S)(?:P?PID|TID|TIME|\S*\w ?\((?:ns|us|µs|ms|s)\))(?!\S)")
NUMBER = re.compile(r"(?<!\S)-?[\d,]+(?!\S)")
GUEST = re.compile(r"\b(?:x86_64|aarch64)(?=-linux-gnu\b)|(?<=\bLinux )\d[\w.+-]*-cloud-\w+")
"""What names the guest's kernel or architecture: Debian's folders of libraries, a release."""
ELSEWHERE = re.compile(r" \(on Linux [\w.]+, \w+\)$", re.MULTILINE)
"""What the title of a check has in a guest that is not the default one."""

Span = tuple[int, int]


def same(one: str, other: str, varies: Iterable[str] = ()) -> bool:
    """Whether the two differ only in what may differ; `varies` are regular expressions for more of that."""
    patterns = [re.compile(pattern, re.MULTILINE) for pattern in varies]
    return comparable(one, patterns) == comparable(other, patterns)


def comparable(text: str, varies: Iterable[re.Pattern[str]] = ()) -> str:
    """`text` with all that may differ between two runs replaced by a mark."""
    text = ELSEWHERE.sub("", text)
    for pattern in (GUEST, *varies):
        text = pattern.sub(MARK, text)
    lines = list(_masked(text.splitlines()))
    return "\n".join(_collapsed(line) if MARK in line else line.rstrip() for line in lines).strip("\n")


def _masked(lines: list[str]) -> Iterator[str]:
    columns: list[Span] = []
    for line in lines:
        headings = [] if NUMBER.search(line) else [match.span() for match in HEADING.finditer(line)]
        if headings:
            columns = headings
            yield line + MARK
        elif not line.strip():
            columns = []
            yield line
        else:
            yield _mask(_without_cells(line, columns))


def _mask(line: str) -> str:
    line = ADDRESS.sub(MARK, line)
    line = AFTER_ID.sub(lambda match: match[1] + MARK, line)
    return FRACTION.sub(MARK, line)


def _without_cells(line: str, columns: list[Span]) -> str:
    """`line` without the numbers that stand under one of the headings at `columns`, on either side flush with it."""

    def cell(match: re.Match[str]) -> str:
        begin, end = match.span()
        return MARK if any(begin < right and left < end for left, right in columns) else match[0]

    return NUMBER.sub(cell, line)


def _collapsed(line: str) -> str:
    return " ".join(line.split())
