"""The learner's files against the reference, as a unified diff."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from harness.course import files, stubs
from harness.course.catalog import Lesson
from harness.protocol.visible import visible


def difference(lesson: Lesson) -> Iterator[str]:
    """Yield the diff's lines, from mine to the reference, for each edited file; the marks of holes do not count."""
    yield from map(visible, _lines(lesson))


def _lines(lesson: Lesson) -> Iterator[str]:
    for name in lesson.edited:
        mine, reference = lesson.folder() / name, lesson.folder("solutions") / name
        yield from difflib.unified_diff(
            _code(files.read_text(mine)) if files.exists(mine) else [],
            _code(files.read_text(reference)),
            fromfile=str(mine.relative_to(lesson.root)),
            tofile=str(reference.relative_to(lesson.root)),
            lineterm="",
        )


def _code(text: str) -> list[str]:
    return [line for line in text.splitlines() if not (stubs.BEGIN.match(line) or stubs.END.match(line))]
