"""Whether a lesson can run in a lab at all: what it needs was tried there."""

from __future__ import annotations

from harness.course.catalog import Lesson
from harness.errors import LabError
from harness.lab.guest import Lab

UNKNOWN = "no such feature is known"


def lacking(lab: Lab, lesson: Lesson) -> str:
    """Why `lesson` cannot run in `lab`, on one line; empty where it can."""
    why = {need: lab.lacking[need] for need in lesson.needs if need in lab.lacking}
    return "; ".join(f"lesson {lesson.number} needs {need}: {text}" for need, text in why.items())


def refuse(lab: Lab, lesson: Lesson) -> None:
    """LabError where `lesson` cannot run in `lab`."""
    if why := lacking(lab, lesson):
        raise LabError(why, remedy="make doctor")
