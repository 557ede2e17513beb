"""Which paths lie in a lessons/, solutions/ or tools/ tree, and which of them are a lesson's or a tool's tests.

Downloaded folders are put into these trees, so pytest may import nothing there: it collects `NN-slug/test_*.py`
beside a lesson.toml, and `tools/NAME/test_*.py` beside a loader.py, by `collect.LessonModule`, and ignores or refuses
everything else.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from harness.course import catalog
from harness.protocol.names import LOADER
from harness.run.payload import TREES
from harness.tools import tool

TEST_FILE = re.compile(r"test_[A-Za-z0-9_.-]+\.py")
"""Names that are harmless to print and to take apart again as a node id."""
HOME = Path(__file__).resolve().parents[2]
"""The checkout that this module runs from: what lies outside it says nothing about it."""


@dataclass(frozen=True)
class Place:
    """A path inside a tree."""

    tree: Path
    below: tuple[str, ...]
    """The path's parts below `tree`; empty for the tree itself."""

    @property
    def lesson(self) -> Path | None:
        """The folder of the tool that the path belongs to, or with the lesson.toml of its lesson."""
        if self.is_tools:
            own = self.tree.joinpath(*self.below[:1])
            return own if tool.is_name(own.name) and self.below and _is_regular(own / LOADER) else None
        if not self.below or not catalog.FOLDER.fullmatch(self.below[0]):
            return None
        folder = self.tree.parent / "lessons" / self.below[0]
        return folder if _is_regular(folder / "lesson.toml") else None

    @property
    def is_tools(self) -> bool:
        """Whether the tree is that of the learner's own tools."""
        return self.tree.name == tool.TREE

    @property
    def may_hold_tests(self) -> bool:
        """Whether the path is a folder that pytest may look into: a tree or a lesson's folder."""
        return not self.below or (len(self.below) == 1 and self.lesson is not None)

    @property
    def is_test_file(self) -> bool:
        """Whether the path is a lesson's test file."""
        if len(self.below) != 2 or self.lesson is None:
            return False
        return bool(TEST_FILE.fullmatch(self.below[1])) and _is_regular(self.tree.joinpath(*self.below))


def place(path: Path) -> Place | None:
    """Where `path` is in a tree, by its name or by what it links to; None for a path outside all trees."""
    return _place(path) or _place(Path(os.path.realpath(path)))


def _place(path: Path) -> Place | None:
    """The outermost tree counts, so that a folder in it cannot pass itself off as a checkout."""
    found, below_checkout, parts = None, False, path.parts
    for depth in range(len(parts), 0, -1):
        folder = Path(*parts[:depth])
        if folder == HOME:
            break
        below = parts[depth:]
        if folder.name == tool.TREE and _is_checkout(folder.parent):  # elsewhere it is anybody's
            found = Place(folder, below)
        if folder.name in TREES:
            is_lesson = bool(below) and catalog.FOLDER.fullmatch(below[0]) is not None
            if is_lesson or not below_checkout or _is_checkout(folder.parent):
                found = Place(folder, below)
        below_checkout = below_checkout or _is_checkout(folder)
    return found


def _is_checkout(folder: Path) -> bool:
    return all(os.path.isdir(folder / name) for name in TREES)


def _is_regular(path: Path) -> bool:
    """Whether `path` is a file, and no link, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
