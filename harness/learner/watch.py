"""Check a lesson at each save, with a restored guest already waiting; keys for the rest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from harness import seed
from harness.course.catalog import Course, Lesson
from harness.errors import LabError, UsageError
from harness.lab.guest import Lab
from harness.learner import difference, hints, progress, verify
from harness.learner.events import QUIT, SAVE, Events
from harness.screen import LONG_S, working

AGAIN = ("\n", "\r")
KEYS = "h hint   Enter check again   a all lessons   d diff   q quit"


class Outdated(Exception):
    """What is being checked was saved again, or the learner quits."""


def watch(lab: Lab, course: Course, first: Lesson | None, console: Console) -> None:
    """Until the learner quits, or all lessons are done."""
    watcher = Watcher(lab, course, console)
    current = first or after(None, course)
    if current is not None and (early := progress.early(course, current)):
        console.print(Text(early, style="yellow"))
    while current is not None:
        with Events(current.folder()) as events:
            if not watcher.stay(current, events):
                return
        current = after(current, course)
        if current is not None:
            console.print(Text(f"on to {current.name}: read docs/{current.page.name}", style="bold"))
    console.print(Text("all lessons are done", style="green"))


def after(lesson: Lesson | None, course: Course) -> Lesson | None:
    """The first lesson after `lesson` that is not done, else the first before it; None when all are done.

    It is one of the same track, or else one that nothing undone has to come before.
    """
    begin = course.index(lesson) + 1 if lesson else 0
    in_turn = (*course.lessons[begin:], *course.lessons[:begin])
    left = [one for one in in_turn if progress.standing(one).verdict != "done"]
    same_track = [one for one in left if lesson and one.track == lesson.track]
    return next((one for one in same_track or left if same_track or not progress.early(course, one)), None)


class Watcher:
    """Checks at each save."""

    def __init__(self, lab: Lab, course: Course, console: Console) -> None:
        self._lab, self._course, self._console = lab, course, console

    def stay(self, lesson: Lesson, events: Events) -> bool:
        """At one lesson until it is done; False when the learner quits."""
        event = SAVE
        while event != QUIT:
            if event in (SAVE, *AGAIN):
                events.forget_saves()
                view = self.check(lesson, events)
                if view is not None and view.exit_code == 0:
                    return True
            else:
                self._answer(event, lesson, events)
            event = self._next(lesson, events)
        return False

    def begin(self, lesson: Lesson) -> None:
        """Let the guest for the next save collect the tests already."""
        # Where the lab fails here, it fails again at the save, and is heard then.
        with contextlib.suppress(LabError, UsageError):
            asked = verify.specification(lesson, "lessons", 0)
            self._lab.begin(asked.files, asked.message(self._lab.deadlines))

    def _next(self, lesson: Lesson, events: Events) -> str:
        self.begin(lesson)
        if events.terminal:
            self._console.print(Text(KEYS, style="dim"))
        return events.next()

    def check(self, lesson: Lesson, events: Events) -> verify.View | None:
        """Check `lesson` and show it; None where the check did not come to its end."""
        self._console.print(Text(f"{time.strftime('%H:%M:%S')}  {progress.announced(lesson)}", style="dim"))
        try:
            view = self._verify(lesson, events)
        except Outdated:
            return None
        except LabError as error:
            self._console.print(Text(f"{error}\nThis is a fault of the lab, not of your code.", style="magenta"))
            return None
        except UsageError as error:  # a file of the lesson became a link, say: the next save may put it right
            self._console.print(Text(f"{error}", style="red"))
            return None
        verify.show(view, self._console, watching=True)
        return view

    def _verify(self, lesson: Lesson, events: Events) -> verify.View:
        with working(self._console, lesson.name, LONG_S) as show:

            def say(text: str) -> None:
                if events.outdated:
                    raise Outdated
                show(text)

            view = verify.verify(self._lab, lesson, "lessons", say, seed.new())
        view.remember()
        return view

    def _answer(self, key: str, lesson: Lesson, events: Events) -> None:
        answers: dict[str, Callable[[], None]] = {
            "h": lambda: self._hint(lesson),
            "d": lambda: self._diff(lesson),
            "a": lambda: self._check_all(events),
        }
        answers.get(key, lambda: None)()

    def _hint(self, lesson: Lesson) -> None:
        hint = hints.take(lesson)
        if hint is None:
            self._console.print(Text("all steps were done at the last check"))
            return
        number, of = len(hint.shown), len(hint.step.hints)
        self._console.print(Text(f"step {hint.step.number}, hint {number} of {of}: {hint.shown[-1]}"))

    def _diff(self, lesson: Lesson) -> None:
        if progress.standing(lesson).was_done:
            self._console.print(Text("\n".join(difference.difference(lesson))))
        else:
            spoil = f"workbook diff {lesson.number} --spoil"
            self._console.print(Text(f"the lesson is not done yet; {spoil} shows its answer"))

    def _check_all(self, events: Events) -> None:
        """A line for each lesson; a save or QUIT ends it early."""
        try:
            for lesson in self._course:
                view = self._verify(lesson, events)
                verdict, style = (view.open.verdict.kind, "") if view.open else ("done", "green")
                self._console.print(Text(f"{lesson.name:<20} {verdict}", style=style))
        except Outdated:
            pass
        except LabError as error:
            self._console.print(Text(f"{error}\nThis is a fault of the lab, not of your code.", style="magenta"))
