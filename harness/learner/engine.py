"""Watches a lesson: checks it at each save, with a restored guest already waiting, and answers what is asked.

The terminal and the page are two faces of it. Everything happens in the thread that calls `run`: QEMU dies with the
thread that started it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness import seed
from harness.course.catalog import Course, Lesson
from harness.errors import LabError, UsageError
from harness.lab.guest import Guest, Lab
from harness.learner import compare, difference, hints, judge, live, progress, reset, verify
from harness.learner.asks import Ask
from harness.learner.events import (
    AllDone,
    Checked,
    Compared,
    Differs,
    Ended,
    Event,
    Failed,
    Hinted,
    Judged,
    Listed,
    Opened,
    Outdated,
    Part,
    Printed,
    Restored,
    Waiting,
    Working,
)  # fmt: skip
from harness.learner.inbox import Inbox
from harness.protocol.messages import Run

Tell = Callable[[Event], None]


class Stale(Exception):
    """What is being done was saved again, or the learner goes elsewhere."""


class Engine:
    """Checks at each save, answers at each ask."""

    def __init__(self, lab: Lab, course: Course, inbox: Inbox, tell: Tell, *, moves_on: bool) -> None:
        """`tell` hears each event; with `moves_on` a lesson that is done is followed by the next that is not."""
        self._lab, self._course, self._inbox, self._tell, self._moves_on = lab, course, inbox, tell, moves_on
        self._attentive = _Attentive(lab, inbox, self._look)

    def run(self, first: Lesson | None) -> None:
        """Until the learner quits, or has no lesson left to move on to."""
        before: Lesson | None = None
        current = first or after(None, self._course)
        while current is not None:
            self._tell(Opened(current, again=before is not None, early=progress.early(self._course, current)))
            with self._inbox.saves_in(current.folder()):
                before, current = current, self._stay(current)
            self._lab.close()  # what it prepared is for the lesson before
        self._tell(AllDone())

    def _stay(self, lesson: Lesson) -> Lesson | None:
        """At one lesson until another is due, or asked for. Quit is raised: it ends everything."""
        ask = Ask("check")
        while True:
            if ask.what == "quit":
                raise Quit
            if ask.what in ("next", "open"):
                if (other := self._other(ask, lesson)) is not None:
                    return other
            elif ask.lesson in ("", lesson.name) and self._answer(ask, lesson) and self._moves_on:
                return after(lesson, self._course)
            self.begin(lesson)
            self._tell(Waiting(lesson))
            ask = self._inbox.next()

    def _other(self, ask: Ask, lesson: Lesson) -> Lesson | None:
        """The lesson that is asked for; None where that is this one, or there is none."""
        if ask.what == "next":
            return self._course.after(lesson)
        return next((one for one in self._course if one.name == ask.lesson and one != lesson), None)

    def begin(self, lesson: Lesson) -> None:
        """Let the guest for the next save collect the tests already, and compile what is there."""
        # Where the lab fails here, it fails again at the save, and is heard then.
        with contextlib.suppress(LabError, UsageError):
            asked = verify.specification(lesson, "lessons", 0)
            self._lab.begin(asked.files, asked.message(self._lab.deadlines))

    def check(self, lesson: Lesson) -> verify.View | None:
        """Check `lesson` and report it; None where the check did not come to its end."""
        self._inbox.forget_saves()
        found: verify.View | None = None
        with self._working(lesson, Working(lesson, "checking", progress.standing(lesson).took_s)):
            found = self._verify(lesson)
            self._tell(Checked(found))
        return found

    def _answer(self, ask: Ask, lesson: Lesson) -> bool:
        """Do what is asked; True where that was a check, and the lesson is done."""
        if ask.what in ("save", "check"):
            view = self.check(lesson)
            return view is not None and view.exit_code == 0
        answers: Mapping[str, Callable[[Lesson], None]] = {
            "hint": self._hint, "diff": self._diff, "reset": self._reset, "undo": self._undo,
            "all": self._check_all, "judge": self._judge, "compare": self._compare, "run": self._run,
        }  # fmt: skip
        try:
            if ask.what in answers:
                answers[ask.what](lesson)
        except UsageError as error:  # such as: never reset
            self._tell(Failed(str(error)))
        return False

    @contextlib.contextmanager
    def _working(self, lesson: Lesson, work: Working) -> Iterator[None]:
        """Something that uses the lab: its end, however it comes, is reported."""
        self._lesson = lesson
        self._tell(work)
        try:
            yield
        except Stale:
            self._tell(Outdated(lesson))
        except LabError as error:
            self._tell(Failed(str(error), lab=True, work=True))
        except UsageError as error:  # a file of the lesson became a link, say: the next save may put it right
            self._tell(Failed(str(error), work=True))

    def _look(self) -> None:
        """Something was asked while the lab works."""
        if self._is_stale():
            raise Stale

    def _is_stale(self) -> bool:
        """Answer what needs no lab; whether what remains makes the work stale."""
        for ask in self._inbox.light():
            if ask.lesson in ("", self._lesson.name):
                self._answer(ask, self._lesson)
        return self._inbox.outdated

    def _say(self, text: str) -> None:
        self._tell(Part(text))
        self._look()

    def _verify(self, lesson: Lesson) -> verify.View:
        view = verify.verify(self._attentive, lesson, "lessons", self._say, seed.new())
        view.remember()
        return view

    def _check_all(self, lesson: Lesson) -> None:
        with self._working(lesson, Working(lesson, "checking all")):
            for one in self._course:
                view = self._verify(one)
                self._tell(Listed(one, view.open.verdict.kind if view.open else "done"))

    def _judge(self, lesson: Lesson) -> None:
        own = judge.own_steps(lesson)
        if not own:
            raise UsageError(f"lesson {lesson.number} has no test of your own")
        standing = progress.standing(lesson)
        reached = len(lesson.steps) if standing.was_done else standing.steps_done + 1
        with self._working(lesson, Working(lesson, "judging")):
            mine = judge.own_test(lesson, "lessons")
            for step in own:
                known: list[judge.Judgement] = []
                try:
                    hear = known.append
                    hear(judge.judge(self._attentive, lesson, step, mine, score=True, say=self._say, hear=hear))
                finally:  # also where it is stopped
                    if known:
                        self._tell(Judged(lesson, step, known[-1], reached))

    def _compare(self, lesson: Lesson) -> None:
        with self._working(lesson, Working(lesson, "comparing")):
            mine, reference = compare.compare(self._attentive, lesson, seed.new(), self._say)
            self._tell(Compared(lesson, mine, reference))

    def _run(self, lesson: Lesson) -> None:
        """Its end is asked for, and waited for: the program detaches, and its files come back."""
        with self._working(lesson, Working(lesson, "running")):
            status, brought = live.stream(self._lab, lesson, self._is_stale, lambda text: self._tell(Printed(text)))
            self._tell(Ended(status if status >= 0 else 128 - status, brought))

    def _hint(self, lesson: Lesson) -> None:
        self._tell(Hinted(lesson, hints.take(lesson)))

    def _diff(self, lesson: Lesson) -> None:
        if not progress.standing(lesson).was_done:
            spoil = f"workbook diff {lesson.number} --spoil"
            raise UsageError(f"the lesson is not done yet; {spoil} shows its answer")
        self._tell(Differs(lesson, tuple(difference.difference(lesson))))

    def _reset(self, lesson: Lesson) -> None:
        kept = reset.reset(lesson)
        self._tell(Restored(lesson, kept.relative_to(lesson.root) if kept else None))

    def _undo(self, lesson: Lesson) -> None:
        self._tell(Restored(lesson, reset.undo(lesson).relative_to(lesson.root), undone=True))


class Quit(Exception):
    """The learner quits."""


class _Attentive:
    """The lab; while a guest of it is listened to, what the learner asks is heard too."""

    def __init__(self, lab: Lab, inbox: Inbox, look: Callable[[], None]) -> None:
        self.deadlines, self.lacking, self.on = lab.deadlines, lab.lacking, lab.on
        self._lab, self._inbox, self._look = lab, inbox, look

    @contextlib.contextmanager
    def open(self) -> Iterator[Guest]:
        with self._lab.open() as guest:
            sources = self._inbox.sources
            for source in sources:
                guest.channel.also(source, self._look)
            try:
                yield guest
            finally:
                for source in sources:
                    guest.channel.no_longer(source)

    def prepare(self) -> None:
        self._lab.prepare()

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        self._lab.begin(files, run)

    def close(self) -> None:
        self._lab.close()


def after(lesson: Lesson | None, course: Course) -> Lesson | None:
    """The first lesson after `lesson` that is not done, else the first before it; None when all are done.

    It is one of the same track, or else one that nothing undone has to come before.
    """
    begin = course.index(lesson) + 1 if lesson else 0
    in_turn = (*course.lessons[begin:], *course.lessons[:begin])
    left = [one for one in in_turn if progress.standing(one).verdict != "done"]
    same_track = [one for one in left if lesson and one.track == lesson.track]
    return next((one for one in same_track or left if same_track or not progress.early(course, one)), None)
