"""How long a learner waits in watch mode from a save to its verdict, beside what the guest computes anyway."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.course import catalog
from harness.course.catalog import Course, Lesson
from harness.errors import LabError
from harness.lab.virtual import VirtualLab
from harness.learner.engine import Engine
from harness.learner.inbox import Inbox


@dataclass(frozen=True)
class Wait:
    """One save, in seconds."""

    to_verdict: float
    """From the write of the file to the verdict."""
    in_guest: float
    """Of it, from the start of the first test to the end of the last: the compile and the tests."""

    @property
    def more(self) -> float:
        """What the harness adds."""
        return self.to_verdict - self.in_guest


def measure(lab: VirtualLab, lesson: Lesson, saves: int, say: Callable[[str], None]) -> list[Wait]:
    """Save the reference of `lesson` this often as a learner's code, and watch; LabError if it is not done."""
    waits = []
    with tempfile.TemporaryDirectory() as directory, Inbox() as inbox:
        copy = _as_learner(lesson, Path(directory))
        engine = Engine(lab, Course(copy.root, (copy,)), inbox, lambda _: None, moves_on=False)
        with inbox.saves_in(copy.folder()):
            for number in range(1, saves + 1):
                engine.begin(copy)
                lab.wait_until_begun()
                waits.append(_save(engine, copy, inbox))
                say(f"save {number} of {saves}: {waits[-1].to_verdict:.2f} s, {waits[-1].more:.2f} s of it the harness")
    return waits


def _as_learner(lesson: Lesson, root: Path) -> Lesson:
    """A checkout of this lesson alone, whose learner wrote what the reference has."""
    for tree in ("lessons", "solutions"):
        shutil.copytree(lesson.folder(tree), root / tree / lesson.name)
    shutil.copytree(lesson.folder("solutions"), root / "lessons" / lesson.name, dirs_exist_ok=True)
    return catalog.load(root / "lessons" / lesson.name)


def _save(engine: Engine, lesson: Lesson, inbox: Inbox) -> Wait:
    loader = lesson.folder() / "loader.py"
    text = loader.read_text()
    begin = time.monotonic()
    loader.write_text(text)
    inbox.next()
    view = engine.check(lesson)
    if view is None or view.exit_code:
        raise LabError(f"the reference of lesson {lesson.number} is not done; see: make solution-{lesson.number}")
    return Wait(time.monotonic() - begin, view.in_guest_s)
