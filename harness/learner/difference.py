"""The learner's files against the reference, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from harness.course import stubs
from harness.course.catalog import Lesson


def difference(lesson: Lesson) -> Iterator[str]:
    """Lines of the diff, from mine to the reference, for each file that the learner edits; the marks of holes apart."""
    for name in lesson.edited:
        mine, reference = lesson.folder() / name, lesson.folder("solutions") / name
        yield from difflib.unified_diff(
            _code(mine.read_text(errors="replace")) if mine.exists() else [],
            _code(reference.read_text()),
            fromfile=str(mine.relative_to(lesson.root)),
            tofile=str(reference.relative_to(lesson.root)),
            lineterm="",
        )


def _code(text: str) -> list[str]:
    return [line for line in text.splitlines() if not (stubs.BEGIN.match(line) or stubs.END.match(line))]
