"""Which files travel into the guest: ordinary ones, none too large, not too many."""

from __future__ import annotations

import os
from pathlib import Path

from harness.course import files
from harness.course.catalog import Lesson
from harness.course.files import FILE_MAX
from harness.errors import UsageError
from harness.protocol.names import LEARNERS_TEST

TOTAL_MAX = 16 << 20
"""Bytes of all files together."""
SOURCES = (".py", ".c", ".h")
"""What a lesson's code can be made of."""
CONFTEST = "conftest.py"
TREES = ("lessons", "solutions")


def of_folder(folder: Path) -> dict[Path, bytes]:
    """All ordinary files below `folder`, at their absolute paths; caches, links and huge files stay here.

    UsageError where there is more than TOTAL_MAX.
    """
    return _read(_ordinary(folder))


def of_paths(paths: list[Path]) -> dict[Path, bytes]:
    """The named files, and all files below the named folders; UsageError where one does not exist or is too large."""
    found: dict[Path, bytes] = {}
    for path in paths:
        found |= of_folder(path) if path.is_dir() and not path.is_symlink() else {path.absolute(): files.read(path)}
    return _bounded(found)


def of_lesson(lesson: Lesson, folder: Path, tests: tuple[Path, ...]) -> dict[Path, bytes]:
    """The lesson's own files in `folder`: its sources and the given tests; no other test, no conftest.py.

    UsageError where one of those that the learner edits is no ordinary file.
    """
    for path in (folder / name for name in lesson.edited):
        if files.exists(path):
            files.read(path)
    chosen = [
        path
        for path in _ordinary(folder)
        if path.suffix in SOURCES and path.name != CONFTEST and (path in tests or not _is_test(path, lesson))
    ]
    return _read(chosen)


def _is_test(path: Path, lesson: Lesson) -> bool:
    """A test that is not the learner's own: that one travels always, since a later run judges it."""
    named = path.name.startswith("test_") or path.stem.endswith("_test") or path == lesson.tests
    return named and path.name != LEARNERS_TEST


def _ordinary(folder: Path) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder):  # links to folders are not followed
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        found += [Path(where).absolute() / name for name in sorted(names) if not name.startswith(".")]
    return found


def _read(paths: list[Path]) -> dict[Path, bytes]:
    """What can be read of `paths`: links and special files stay here, as does what is gone by now or too large."""
    found: dict[Path, bytes] = {}
    for path in paths:
        try:
            found[path] = files.read(path, FILE_MAX)
        except UsageError:  # an editor's short-lived file (vim's 4913), a link, a FIFO
            continue
    return _bounded(found)


def _bounded(found: dict[Path, bytes]) -> dict[Path, bytes]:
    if sum(map(len, found.values())) > TOTAL_MAX:
        largest = max(found, key=lambda path: len(found[path]))
        raise UsageError(f"more than {TOTAL_MAX >> 20} MiB would travel into the lab; the largest file is {largest}")
    return found


def folder_of(lesson: Lesson, tree: str) -> Path:
    """The lesson's folder in `tree`; UsageError where there is no such tree."""
    if tree not in TREES:
        raise UsageError(f"there is no tree {tree!r} (known: {', '.join(TREES)})")
    return lesson.folder(tree)
