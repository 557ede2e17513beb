"""The next hint: by step and level, remembering what was shown."""

from __future__ import annotations

from dataclasses import dataclass

from harness.course import files, stubs
from harness.course.catalog import Lesson, Step
from harness.errors import UsageError
from harness.learner import progress
from harness.run import steps


@dataclass(frozen=True)
class Hint:
    """What to show: the hints of a step up to a level."""

    step: Step
    shown: tuple[str, ...]
    """Hints of earlier levels first; the last one is new unless all were shown before."""

    @property
    def left(self) -> int:
        return len(self.step.hints) - len(self.shown)


def open_step(lesson: Lesson) -> Step | None:
    """The step that the learner is at: the one whose code the last check could not load, as long as it is no stub.

    Else the first hole that is still a stub, else the first not done, if any.
    """
    paths = [lesson.folder() / name for name in lesson.edited]
    holes = stubs.holes_in(lesson, {path: files.read(path) for path in paths if files.exists(path)}, lesson.folder())
    now = progress.standing(lesson)
    refused = next((step for step in lesson.steps if step.number == now.refused_in), None)
    if refused and refused.number not in holes:
        return refused
    return steps.worked_on(lesson.steps, holes, now.steps_done)


def take(lesson: Lesson, number: int | None = None) -> Hint | None:
    """The next hint of step `number`, by default of the open one; it counts as shown. None where all steps are done."""
    step = open_step(lesson) if number is None else _step(lesson, number)
    if step is None:
        return None
    level = min(progress.standing(lesson).hints.get(step.number, 0) + 1, len(step.hints))
    progress.note_hint(lesson, step.number, level)
    return Hint(step, step.hints[:level])


def _step(lesson: Lesson, number: int) -> Step:
    for step in lesson.steps:
        if step.number == number:
            return step
    raise UsageError(f"lesson {lesson.name} has steps 1 to {len(lesson.steps)}, not {number}")
