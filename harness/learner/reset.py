"""Start a lesson over: the stubs again, the learner's files kept; undo brings them back. Nothing is ever deleted."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from harness.course import files, stubs
from harness.course.catalog import Lesson
from harness.errors import UsageError
from harness.learner import progress

UNDONE = ".brought-back"


def reset(lesson: Lesson) -> Path | None:
    """Write the stubs; returns the folder with the learner's files, None if they were the stubs or not there."""
    fresh = {name: text.encode() for name, text in stubs.stubs(lesson).items()}
    current = _contents(lesson.folder(), lesson)
    if current == fresh:
        return None
    kept = _keep(lesson) if current else None
    for name, content in fresh.items():
        files.write(lesson.folder() / name, content)
    return kept


def undo(lesson: Lesson) -> Path:
    """Bring back what the last reset that was not undone kept; what was there is kept too."""
    entries = [path for path in _all_kept(lesson) if not path.name.endswith((UNDONE, ".undo"))]
    if not entries:
        raise UsageError(
            f"{lesson.name} was never reset, or all was brought back", remedy=f"make reset-{lesson.number}"
        )
    kept = _contents(entries[-1], lesson)
    _keep(lesson, suffix=".undo")
    for name, content in kept.items():
        files.write(lesson.folder() / name, content)
    entries[-1].rename(entries[-1].with_name(entries[-1].name + UNDONE))
    return entries[-1]


def _contents(folder: Path, lesson: Lesson) -> dict[str, bytes]:
    """The files of those that the learner edits which are in `folder`; UsageError where one is not an ordinary file."""
    return {name: files.read(folder / name) for name in lesson.edited if files.exists(folder / name)}


def _keep(lesson: Lesson, suffix: str = "") -> Path:
    """Copy the learner's files into a separate folder, which appears whole."""
    home = progress.folder(lesson.root) / "kept" / lesson.slug
    home.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".", dir=home))
    for name in _contents(lesson.folder(), lesson):
        shutil.copy2(lesson.folder() / name, work / name)
        with (work / name).open("rb") as file:
            os.fsync(file.fileno())
    taken = [int(path.name[:4]) for path in _all_kept(lesson)]
    kept = home / f"{max(taken, default=0) + 1:04}-{time.strftime('%Y%m%d-%H%M%S')}{suffix}"
    work.rename(kept)
    return kept


def _all_kept(lesson: Lesson) -> list[Path]:
    """Complete copies, oldest first: numbered, since clocks go backwards."""
    home = progress.folder(lesson.root) / "kept" / lesson.slug
    return sorted(path for path in home.glob("[0-9][0-9][0-9][0-9]-*") if path.is_dir())
