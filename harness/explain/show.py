"""An explanation on the screen: the sentence, the line with a caret, what the kernel knew, what to try, the page."""

from __future__ import annotations

import os
from pathlib import Path

from harness.explain.explanation import Explanation
from harness.protocol.visible import visible


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
    if found.page:
        rows.append(f"read: {found.page}")
    return visible("\n".join(rows))


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
