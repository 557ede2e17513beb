"""What the page shows now: kept from the engine's events, read by as many tabs as there are.

A tab that connects, for the first time or again, gets all of it; then what has changed since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.course.catalog import Lesson
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
from harness.learner.verify import View

Region = Literal["status", "steps", "verdict", "answer", "output"]
REGIONS: tuple[Region, ...] = ("status", "steps", "verdict", "answer", "output")
OUTPUT_MAX = 256 << 10
"""Characters of a program's output that are kept."""
Answer = Hinted | Differs | Judged | Compared | Restored | Failed


@dataclass(frozen=True)
class Shown:
    """One state of the page."""

    lesson: Lesson | None = None
    early: str = ""
    """A sentence where a lesson that should come before is not done; else empty."""
    work: Working | None = None
    """What is being done; None while the next save is waited for."""
    part: str = ""
    when: str = ""
    """Time of the day of the last verdict."""
    view: View | None = None
    """Of the lesson's last check, since the page was started."""
    answers: tuple[Answer, ...] = ()
    """To what was asked last; judge answers once for each test of the learner's."""
    listed: tuple[Listed, ...] = ()
    run: int = 0
    """How many times a program was started."""
    output: str = ""
    dropped: int = 0
    """Characters of the output that are not kept any more."""
    ended: Ended | None = None
    fault: Failed | None = None
    """Why the last work did not come to its end."""
    changed: dict[Region, int] = field(default_factory=dict)
    """Region → number of its last change."""


class Board:
    """The state, and who waits for it to change."""

    def __init__(self, first: Lesson | None = None) -> None:
        """`first` is shown until the engine opens a lesson."""
        self._lock = threading.Lock()
        self._shown = Shown(lesson=first, changed=dict.fromkeys(REGIONS, 1))
        self._waiting: set[Callable[[], None]] = set()
        self._closed = False

    @property
    def shown(self) -> Shown:
        """The state of now; it does not change, the next one takes its place."""
        return self._shown

    @property
    def closed(self) -> bool:
        return self._closed

    def wake(self, call: Callable[[], None]) -> None:
        """Call `call` after each change, in the thread that causes it, until `forget`."""
        with self._lock:
            self._waiting.add(call)

    def forget(self, call: Callable[[], None]) -> None:
        """Undo `wake`."""
        with self._lock:
            self._waiting.discard(call)

    def close(self) -> None:
        """Nothing changes any more."""
        self._closed = True
        self._wake_all()

    def tell(self, event: Event) -> None:
        """Take in one event of the engine's."""
        new, regions = after(self._shown, event)
        number = max(self._shown.changed.values()) + 1
        self._shown = replace(new, changed=self._shown.changed | dict.fromkeys(regions, number))
        self._wake_all()

    def _wake_all(self) -> None:
        with self._lock:
            calls = list(self._waiting)
        for call in calls:
            call()


def after(now: Shown, event: Event) -> tuple[Shown, tuple[Region, ...]]:
    """The state after `event`, and the regions that are different in it."""
    match event:
        case Opened(lesson, early=early):
            return Shown(lesson=lesson, early=early), REGIONS
        case Working(kind=kind):
            new = replace(now, work=event, part="", fault=None)
            if kind == "running":
                return replace(new, run=now.run + 1, output="", dropped=0, ended=None), ("status", "output")
            if kind == "checking all":
                return replace(new, listed=(), answers=()), ("status", "answer")
            return new, ("status",)
        case Waiting():
            return replace(now, work=None, part=""), ("status", "steps")
        case Part(text):
            return replace(now, part=text), ("status",)
        case Checked(view):
            return replace(now, view=view, when=time.strftime("%H:%M:%S"), work=None), ("status", "steps", "verdict")
        case Listed():
            return replace(now, listed=(*now.listed, event), answers=()), ("answer",)
        case Printed(text):
            output = now.output + text
            over = max(0, len(output) - OUTPUT_MAX)
            return replace(now, output=output[over:], dropped=now.dropped + over), ("output",)
        case Ended():
            return replace(now, ended=event, work=None), ("status", "output")
        case Outdated():
            return now, ("status",)
        case Failed(work=True):
            return replace(now, fault=event, work=None), ("status", "verdict")
        case Judged() if now.answers and isinstance(now.answers[-1], Judged) and now.work is not None:
            return replace(now, answers=(*now.answers, event)), ("answer",)
        case Hinted() | Differs() | Judged() | Compared() | Restored() | Failed():
            return replace(now, answers=(event,), listed=()), ("answer", "steps")
        case AllDone():
            return now, ()
