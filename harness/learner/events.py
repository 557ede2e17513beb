"""What happens while a lesson is watched: the terminal prints it, the page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.course.catalog import Lesson, Step
from harness.learner.compare import Side
from harness.learner.hints import Hint
from harness.learner.judge import Judgement
from harness.learner.progress import last_time
from harness.learner.verify import View


@dataclass(frozen=True)
class Opened:
    """A lesson is watched from now on."""

    lesson: Lesson
    again: bool
    """Another one was before."""
    early: str
    """A sentence where a lesson that should come before is not done; else empty."""


@dataclass(frozen=True)
class Waiting:
    """Nothing is being done; the next save is checked."""

    lesson: Lesson


@dataclass(frozen=True)
class Working:
    """Something long begins; Part follows, and Waiting, or another Working, when it is over."""

    lesson: Lesson
    kind: Literal["checking", "judging", "comparing", "running", "checking all"]
    took_s: int = 0
    """Seconds that it took last time, where that is known."""

    def __str__(self) -> str:
        what = "lessons" if self.kind == "checking all" else self.lesson.name
        return f"{self.kind} {what}{last_time(self.lesson, self.took_s)}"


@dataclass(frozen=True)
class Part:
    """The part of the work that is being done, such as "test 3 of 24: test_x"."""

    text: str


@dataclass(frozen=True)
class Checked:
    """A check came to its end."""

    view: View


@dataclass(frozen=True)
class Listed:
    """One lesson of all is checked."""

    lesson: Lesson
    verdict: str
    """"done", or the kind of the open step's verdict."""


@dataclass(frozen=True)
class Outdated:
    """The work ended early: something was saved, or asked for, that makes it stale."""

    lesson: Lesson


@dataclass(frozen=True)
class Failed:
    """What was begun, or asked for, cannot be done."""

    text: str
    lab: bool = False
    """The lab's fault, not the learner's code's."""
    work: bool = False
    """The work at hand ended by it; else it is the answer to what was asked."""


@dataclass(frozen=True)
class Hinted:
    """A hint; None where all steps are done."""

    lesson: Lesson
    hint: Hint | None


@dataclass(frozen=True)
class Differs:
    """The diff from the learner's code to the reference; no lines where they are the same."""

    lesson: Lesson
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """What the learner's test of a step did."""

    lesson: Lesson
    step: Step
    found: Judgement
    reached: int
    """The step that the learner works on."""


@dataclass(frozen=True)
class Compared:
    """What the learner's program and the reference cost."""

    lesson: Lesson
    mine: Side
    reference: Side


@dataclass(frozen=True)
class Restored:
    """The lesson holds its stubs again, or what a reset had replaced."""

    lesson: Lesson
    kept: Path | None
    """Where the learner's files are, relative to the checkout; None where nothing was replaced."""
    undone: bool = False


@dataclass(frozen=True)
class Printed:
    """Output of the learner's program, made visible."""

    text: str


@dataclass(frozen=True)
class Ended:
    """The learner's program ended."""

    status: int
    brought: tuple[str, ...]
    """Names of the files that it made."""


@dataclass(frozen=True)
class AllDone:
    """No lesson is left."""


Event = (
    Opened | Waiting | Working | Part | Checked | Listed | Outdated | Failed | Hinted | Differs | Judged | Compared
    | Restored | Printed | Ended | AllDone
)  # fmt: skip
