"""Which files of a lesson travel into the guest, for which tree."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from harness.course import stubs
from harness.course.catalog import Lesson
from harness.errors import UsageError
from harness.protocol.names import LEARNERS_TEST
from harness.run.session import Batch

FILE_MAX = 8 << 20
"""Bytes; a larger file in a lesson's folder stays here."""
TREES = ("lessons", "solutions")


def of_folder(folder: Path) -> dict[Path, bytes]:
    """All regular files below `folder`, at their absolute paths; caches, links and huge files stay here."""
    found = {}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
        # An editor's short-lived files (vim's 4913) may be gone by now.
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink() and not hidden and path.stat().st_size <= FILE_MAX:
                found[path.absolute()] = path.read_bytes()
    return found


def of_paths(paths: list[Path]) -> dict[Path, bytes]:
    """The named files, and all files below the named folders; UsageError where one does not exist."""
    found: dict[Path, bytes] = {}
    for path in paths:
        if path.is_dir():
            found |= of_folder(path)
        elif path.is_file():
            found[path.absolute()] = path.read_bytes()
        else:
            raise UsageError(f"{path}: no such file or folder")
    return found


def folder_of(lesson: Lesson, tree: str) -> Path:
    """The lesson's folder in `tree`; UsageError where there is no such tree."""
    if tree not in TREES:
        raise UsageError(f"there is no tree {tree!r} (known: {', '.join(TREES)})")
    return lesson.folder(tree)


def reference(lesson: Lesson) -> Batch:
    """The run of all tests on the reference, its own answer to the learner's test included."""
    mine = lesson.folder("solutions") / LEARNERS_TEST
    replaced = {lesson.folder() / LEARNERS_TEST: mine.read_bytes()} if mine.exists() else {}
    return batch(lesson, "solutions", replaced=replaced)


def batch(
    lesson: Lesson,
    tree: str,
    *,
    tests: tuple[Path, ...] = (),
    wanted: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    seed: int = 0,
    replaced: Mapping[Path, bytes] | None = None,
) -> Batch:
    """The run of a lesson's tests (all test files by default) against `tree`; `replaced` files take precedence."""
    code = folder_of(lesson, tree)
    files = of_folder(lesson.folder()) | (of_folder(code) if tree != "lessons" else {})
    if not tests:
        tests = tuple(sorted(lesson.folder().glob("test_*.py")))
    return Batch(
        root=lesson.root,
        code=code,
        files=files | dict(replaced or {}),
        tests=tests,
        wanted=wanted,
        options=options,
        seed=seed,
        holes=tuple(sorted(stubs.open_holes(lesson, code))),
    )
