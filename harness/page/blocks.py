"""What a page's blocks are, beyond Markdown: a caption from the comment above, a diagram that has to be described.

The site (docs/website) and the page beside the editor ask here, so that both show the same.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

DESCRIPTIONS = "docs/website/diagrams.toml"
DIRECTIVE = re.compile(r"<!-- (code|run): (.*?) *-->")
DRAWN = re.compile("[│┌└├─▶▼◀▲]")


def caption(comment: str) -> str | None:
    """What stands above a block: the file that it shows, or the command that printed it; None for another comment."""
    directive = DIRECTIVE.fullmatch(comment.strip())
    if directive is None:
        return None
    kind, argument = directive.groups()
    return f"$ {argument.split(' | ')[0]}" if kind == "run" else argument.partition("#")[0]


def is_diagram(text: str) -> bool:
    """Whether a block of text is drawn: it has lines or arrows of box drawing characters."""
    return bool(DRAWN.search(text))


def descriptions(root: Path) -> dict[str, list[str]]:
    """Page → what its diagrams show, in their order, each in one line."""
    found = tomllib.loads((root / DESCRIPTIONS).read_text())
    return {page: [" ".join(words.split()) for words in one] for page, one in found.items()}


def anchor(heading: str) -> str:
    """The id that a heading gets, as MyST makes it; a wrong one is a dead link, which the site's build finds."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")
