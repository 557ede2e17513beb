"""Diagrams drawn in text have a description, which is what a screen reader reads instead of the characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.page import blocks

BLOCK = re.compile(r"^(?P<before>[^\n]*\n)```text\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def faults(root: Path, pages: dict[str, str]) -> Iterator[str]:
    """Diagrams without a description, descriptions without a diagram."""
    described = blocks.descriptions(root)
    for page, text in pages.items():
        lines = [
            text.count("\n", 0, match.end("before")) + 1
            for match in BLOCK.finditer(text)
            if not match["before"].startswith("<!-- ") and blocks.is_diagram(match["text"])
        ]
        has = len(described.get(page, []))
        for line in lines[has:]:
            yield f"docs/{page}.md:{line}: this diagram has no description; next: write it in {blocks.DESCRIPTIONS}"
        if has > len(lines):
            yield f"{blocks.DESCRIPTIONS}: {page} has {has} descriptions, its page {len(lines)} diagrams"
    for page in sorted(set(described) - set(pages)):
        yield f"{blocks.DESCRIPTIONS}: there is no page {page}"
