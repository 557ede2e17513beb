"""The classes of `workbook explain`, each with an example of the corpus that the engine is tested on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.explain import rules

CORPUS = "tests/explain"
AROUND = 5
"""Lines shown before and after the one at fault."""
LOG_LINES = 12


@dataclass(frozen=True)
class Example:
    """A part of a file that shows a fault."""

    title: str
    language: str
    text: str
    first: int
    """The number of the text's first line; 0 where lines have no numbers."""
    blamed: int
    """Which line is at fault, counted in the text from 1; 0 for none."""


def classes() -> list[str]:
    """The classes that the rules know."""
    return list(dict.fromkeys(rule.id for rule in rules.rules()))


def faults(page: str) -> Iterator[str]:
    """Classes that explain.md has no heading for."""
    headings = set(re.findall(r"^#+ (\S+)$", page, re.MULTILINE))
    for name in classes():
        if name not in headings:
            yield f"docs/explain.md: unknown name {name}: a class of the rules without a heading"


@cache
def examples(root: Path) -> dict[str, Example]:
    """Class → its first example: a program where there is one, else a log."""
    found: dict[str, Example] = {}
    tables = [tomllib.loads(path.read_text()) for path in sorted((root / CORPUS).glob("*.toml"))]
    for kind in ("program", "log", "case"):
        for entry in (entry for table in tables for entry in table.get(kind, [])):
            if isinstance(entry["rule"], str) and "blame" not in entry:
                found.setdefault(entry["rule"], _example(root / CORPUS, entry))
    return found


def _example(corpus: Path, entry: dict[str, Any]) -> Example:
    if "file" not in entry:
        return _log(entry["log"], f"a log: {entry['kind']}")
    path = corpus / entry["file"]
    if path.suffix == ".log":
        return _log(path.read_text(), f"{CORPUS}/{entry['file']}")
    blamed: int | list[int] = entry.get("line", 0)
    number = blamed[0] if isinstance(blamed, list) else blamed
    begin = max(0, number - 1 - AROUND)
    return Example(
        f"{CORPUS}/{path.name}" + (f", line {number}" if number else ""),
        "c" if path.suffix == ".c" else "python",
        "\n".join(path.read_text().splitlines()[begin : begin + 2 * AROUND + 1]),
        begin + 1,
        number - begin if number else 0,
    )


def _log(text: str, title: str) -> Example:
    return Example(title, "text", "\n".join(text.strip("\n").splitlines()[-LOG_LINES:]), 0, 0)
