"""What tools print when all is well: tables of results and help texts, in which any word can stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

HEADER = re.compile(r"\s*(?:(?:#|[A-Z][A-Z0-9_/%.-]*(?:\([^()\s]*\))?)(?:\s+|$)){2,}")
NUMBER = re.compile(r"-?[\d.:,]*\d%?")
PROCESS = ("PID", "TID", "TGID", "PPID")
"""Columns with the number of a process or thread."""
HELP = re.compile(r"^(?:optional arguments|options|positional arguments):\s*$", re.MULTILINE)
"""As argparse lists what a tool takes."""


def others(text: str) -> Iterator[str]:
    """The rows of `text` that are no row of a table, and in a help text only its errors."""
    columns: list[str] = []
    is_help = HELP.search(text) is not None and re.search(r"^usage: ", text, re.MULTILINE) is not None
    for row in text.splitlines():
        if HEADER.fullmatch(row):
            columns = row.replace("# ", "").split()
        elif not row.strip():
            columns = []
        elif not _is_data(row.split(), columns) and (not is_help or "error: " in row):
            yield row


def _is_data(words: list[str], columns: list[str]) -> bool:
    """Whether a row has numbers where a table's header demands them."""
    if not columns or len(words) < len(columns):
        return False
    if numbered := [place for place, name in enumerate(columns) if name in PROCESS]:
        return all(words[place].isdigit() for place in numbered)
    return len(words) == len(columns) and all(map(NUMBER.fullmatch, words[1:]))
