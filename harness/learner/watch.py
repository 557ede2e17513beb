"""Watching at a terminal: what happens is printed, and keys ask for the rest."""

from __future__ import annotations

import contextlib
import time

from rich.console import Console
from rich.text import Text

from harness.course.catalog import Course, Lesson
from harness.lab.guest import Lab
from harness.learner import compare, judge, verify
from harness.learner.asks import QUIT, Ask
from harness.learner.engine import Engine, Quit
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
    Part,
    Printed,
    Restored,
    Waiting,
    Working,
)  # fmt: skip
from harness.learner.inbox import Inbox
from harness.learner.keys import Keys
from harness.screen import LONG_S, working

MEANING = {
    "\n": Ask("check"), "\r": Ask("check"), "h": Ask("hint"), "a": Ask("all"), "d": Ask("diff"), "j": Ask("judge"),
    "c": Ask("compare"), "n": Ask("next"), "r": Ask("run"), "s": Ask("stop"), "R": Ask("reset"), "U": Ask("undo"),
    "q": QUIT,
}  # fmt: skip
ON_THE_WAY = (Part, Printed, Hinted, Differs, Restored, Listed)
"""Events that come while work goes on."""
KEYS = (
    "h hint   Enter check again   a all lessons   j judge   c compare   r run   s stop\n"
    "n next   d diff   R reset   U undo   q quit"
)


def watch(lab: Lab, course: Course, first: Lesson | None, console: Console) -> None:
    """Until the learner quits, or all lessons are done."""
    with (
        Keys() as keys,
        Inbox(keys, MEANING) as inbox,
        Screen(console, keys.terminal) as screen,
        contextlib.suppress(Quit),
    ):
        Engine(lab, course, inbox, screen.tell, moves_on=True).run(first)


class Screen:
    """Prints what happens. As a context, it ends what it shows of long work."""

    def __init__(self, console: Console, shows_keys: bool) -> None:
        self._console, self._shows_keys = console, shows_keys
        self._work = contextlib.ExitStack()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._work.close()

    def tell(self, event: Event) -> None:
        """Print one event."""
        if not isinstance(event, ON_THE_WAY) and not (isinstance(event, Failed) and not event.work):
            self._work.close()
        match event:
            case Working():
                self._begin(event)
            case Part(text):
                self._say(text)
            case Checked(view):
                verify.show(view, self._console, watching=True)
            case Judged(lesson, step, found, reached):
                judge.show(lesson, step, found, self._console, reached)
            case Compared(lesson, mine, reference):
                compare.show(lesson, mine, reference, self._console)
            case Printed(text):
                self._console.print(Text(text), end="")
            case Waiting() if self._shows_keys:
                self._print(KEYS, "dim")
            case _:
                for text, style in _words(event):
                    self._print(text, style)

    def _begin(self, work: Working) -> None:
        self._print(f"{time.strftime('%H:%M:%S')}  {work}", "dim")
        self._say = self._work.enter_context(working(self._console, work.lesson.name, LONG_S))

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))


def _words(event: Event) -> list[tuple[str, str]]:
    """Lines, each with its style."""
    match event:
        case Opened(lesson, again, early):
            on = [(f"on to {lesson.name}: read docs/{lesson.page.name}", "bold")] if again else []
            return on + ([(early, "yellow")] if early else [])
        case AllDone():
            return [("all lessons are done", "green")]
        case Listed(lesson, verdict):
            return [(f"{lesson.name:<20} {verdict}", "green" if verdict == "done" else "")]
        case Failed(text, lab=True):
            return [(f"{text}\nThis is a fault of the lab, not of your code.", "magenta")]
        case Failed(text):
            return [(text, "red")]
        case Hinted(hint=None):
            return [("all steps were done at the last check", "")]
        case Hinted(hint=hint) if hint is not None:
            of = f"hint {len(hint.shown)} of {len(hint.step.hints)}"
            return [(f"step {hint.step.number}, {of}: {hint.shown[-1]}", "")]
        case Differs(_, lines):
            return [("\n".join(lines) or "your code is the reference's, line for line", "")]
        case Restored(lesson, kept, undone=True):
            return [(f"your files of {lesson.name} are back; what was there is kept as well", "")]
        case Restored(lesson, None):
            return [(f"{lesson.name} holds the stubs already", "")]
        case Restored(lesson, kept):
            return [(f"{lesson.name} holds the stubs again; your files: {kept}", "")]
        case Ended(status, brought):
            return [(f"exit status {status}", "dim")] + [(f"brought back: {name}", "") for name in brought]
    return []
