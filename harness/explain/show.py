"""An explanation on the screen: the log first and cut, then the sentence, the line, what the kernel knew, what to try.

The explanation stands last, where a terminal stops, and no word of it is broken in the middle.
"""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

from harness.explain.explanation import Explanation
from harness.protocol.visible import visible

ROW_MAX = 200
"""Characters of a log's row that are shown."""
WIDTH_MIN = 20
"""Columns below which nothing is wrapped: no terminal."""
CODE = re.compile(r"\s*(?:\d+ [|+] |\^~*$)")


def place(found: Explanation, root: Path) -> str:
    """file:line:column, relative to `root` where it is below it."""
    if found.path is None:
        return ""
    name = os.path.relpath(found.path, root) if found.path.is_relative_to(root) else str(found.path)
    return ":".join(str(part) for part in (name, found.line, found.column) if part)


def body(found: Explanation) -> str:
    """All that is said, without the place and without the log."""
    rows = [found.cause]
    if found.source.strip():
        rows += ["", *_pointed(found)]
    if found.known:
        rows += ["", *(f"the kernel knew: {sentence}" for sentence in found.known)]
    if found.since:
        rows += ["", *(f"since: {sentence}" for sentence in found.since)]
    if found.message and found.message not in found.cause:
        rows += ["", f"it said: {found.message}"]
    if found.advice:
        rows += ["", f"try: {found.advice}"]
    if found.tried:
        rows += ["", f"tried: {found.tried}"]
    if found.page:
        rows.append(f"read: {found.page}")
    return visible("\n".join(rows))


def excerpt(log: str, message: str, rows_max: int) -> list[str]:
    """The rows of a log that end with its essential line, at most `rows_max`; its last where that is not in it."""
    rows = visible(log).splitlines()
    first = visible(message).split("; ")[0].partition(": ")[2] or message
    ends = [n for n, row in enumerate(rows) if first and first[:ROW_MAX] in row]
    end = ends[-1] + 1 if ends else len(rows)
    return [row[:ROW_MAX] for row in rows[max(0, end - rows_max) : end]]


def wrapped(text: str, width: int) -> str:
    """`text` in rows of at most `width` characters, broken between words; a line of code and its mark stay whole."""
    if width < WIDTH_MIN:
        return text
    rows: list[str] = []
    for row in text.splitlines():
        rows += [row] if CODE.match(row) else _wrapped(row, width)
    return "\n".join(rows)


def _wrapped(row: str, width: int) -> list[str]:
    return textwrap.wrap(row, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ") or [""]


def _pointed(found: Explanation) -> list[str]:
    """The line, what is at fault in it underlined; a tab is as wide as four characters."""
    text = found.source.strip()
    margin = f"{found.line or ' '} | "
    column, width = found.mark
    before = len(found.source) - len(found.source.lstrip())
    under = "^" + "~" * max(0, len(text.replace("\t", "    ")) - 1)
    if width and column > before:
        under = " " * len(found.source[before : column - 1].replace("\t", "    ")) + "^" + "~" * (width - 1)
    return [margin + text.replace("\t", "    "), " " * len(margin) + under]
