"""Where the whole log of a refused program is kept, of which the screen shows a few rows."""

from __future__ import annotations

from pathlib import Path

from harness.course import files
from harness.learner import progress
from harness.protocol.visible import visible

FOLDER = "explain"
"""In the checkout's own folder."""


def keep(root: Path, name: str, log: str) -> Path:
    """Write `log` where it can be read whole; its path. OSError or UsageError where nothing can be written."""
    folder = progress.folder(root) / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.log"
    files.write(path, f"{visible(log)}\n".encode())
    return path
