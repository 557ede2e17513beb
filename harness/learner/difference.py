"""The learner's files against the reference, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from harness.course.catalog import Lesson


def difference(lesson: Lesson) -> Iterator[str]:
    """Lines of the diff, from mine to the reference, for each file that the learner edits."""
    for name in lesson.edited:
        mine, reference = lesson.folder() / name, lesson.folder("solutions") / name
        yield from difflib.unified_diff(
            mine.read_text(errors="replace").splitlines() if mine.exists() else [],
            reference.read_text().splitlines(),
            fromfile=str(mine.relative_to(lesson.root)),
            tofile=str(reference.relative_to(lesson.root)),
            lineterm="",
        )
