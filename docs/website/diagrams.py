"""Diagrams drawn in text have a description, which is what a screen reader reads instead of the characters."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

DESCRIPTIONS = "docs/website/diagrams.toml"
BLOCK = re.compile(r"^(?P<before>[^\n]*\n)```text\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
DRAWN = re.compile("[│┌└├─▶▼◀▲]")


def descriptions(root: Path) -> dict[str, list[str]]:
    """Page → what its diagrams show, in their order."""
    return tomllib.loads((root / DESCRIPTIONS).read_text())


def is_diagram(text: str) -> bool:
    """Whether a block of text is drawn: it has lines or arrows of box drawing characters."""
    return bool(DRAWN.search(text))


def faults(root: Path, pages: dict[str, str]) -> Iterator[str]:
    """Diagrams without a description, descriptions without a diagram."""
    described = descriptions(root)
    for page, text in pages.items():
        lines = [
            text.count("\n", 0, match.end("before")) + 1
            for match in BLOCK.finditer(text)
            if not match["before"].startswith("<!-- ") and is_diagram(match["text"])
        ]
        has = len(described.get(page, []))
        for line in lines[has:]:
            yield f"docs/{page}.md:{line}: this diagram has no description; next: write it in {DESCRIPTIONS}"
        if has > len(lines):
            yield f"{DESCRIPTIONS}: {page} has {has} descriptions, its page {len(lines)} diagrams"
    for page in sorted(set(described) - set(pages)):
        yield f"{DESCRIPTIONS}: there is no page {page}"
