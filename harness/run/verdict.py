"""What the outcome of a test means for the learner, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.protocol.facts import Facts
from harness.protocol.messages import Reported
from harness.run.request import Request

if TYPE_CHECKING:
    from harness.explain.explanation import Explanation

Kind = Literal["not run", "todo", "red", "broken", "blocked", "skipped", "lab", "done"]

NO_EVENTS = "the kernel says: "
"""Begins the sentence under a test that saw nothing."""
PYTEST_ADVICE = "Use -v to get more diff"
"""Last line of many a failed comparison (_compare_sequence.py in pytest 9.2); `verify` has no -v."""


@dataclass(frozen=True)
class Verdict:
    """One test's outcome in words."""

    kind: Kind
    place: str = ""
    """file:line, relative to the checkout, where the learner should look."""
    text: str = ""
    """What to do (todo), or what was expected and seen."""
    log: str = ""
    """All that a compiler, BCC or the kernel said (broken)."""

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.place, self.text]))


NOT_RUN = Verdict("not run", text="this test did not run")


def of(report: Reported, request: Request, stderr: str = "") -> Verdict:
    """The verdict on one phase of a test of `request`, where `stderr` was printed."""
    facts = report.facts
    message = facts.message.removesuffix(PYTEST_ADVICE).rstrip()
    if report.outcome == "passed":
        return Verdict("done")
    if report.outcome == "skipped":
        return Verdict("blocked" if report.text.startswith("Skipped: blocked by step") else "skipped", text=report.text)
    if (reached := _todo_reached(facts, request)) is not None:
        return reached
    if facts.exception == "Exception":  # the class of what BCC raises
        from harness.run import reasons

        if (why := reasons.of_refusal(facts, request, stderr)) is not None:
            return _broken(why, request)
    hole = request.holes.get(request.step_of(report.nodeid) or 0)
    if hole is not None:
        return Verdict("todo", f"{_short(hole.path, request)}:{hole.line}", f"{hole}\n{message}".rstrip())
    return Verdict("red", _place(facts, request), (message or facts.exception or report.text) + _no_events(facts))


def _no_events(facts: Facts) -> str:
    """One sentence more where the test saw no event and the kernel knows why."""
    if facts.activity is None:
        return ""
    from harness.run import reasons

    found = reasons.of_no_events(facts.activity)
    return f"\n\n{NO_EVENTS}{found.text}\ntry: {found.advice}" if found else ""


def _todo_reached(facts: Facts, request: Request) -> Verdict | None:
    """The verdict if the failure is a stub's NotImplementedError."""
    if facts.exception != "NotImplementedError" or not facts.frames or not facts.message.startswith("TODO "):
        return None
    path = Path(facts.frames[-1].path)
    if path not in request.files or path.name not in request.lesson.edited:
        return None
    return Verdict("todo", f"{_short(path, request)}:{facts.frames[-1].line}", facts.message)


def of_death(reason: str, request: Request, stderr: str) -> Verdict:
    """The verdict on a test whose process ended: LLVM's back end does that where it cannot go on."""
    from harness.run import reasons

    why = reasons.of_death(reason, request, stderr)
    return _broken(why, request) if why else Verdict("red", text=reason)


def _broken(why: Explanation, request: Request) -> Verdict:
    from harness.explain import show

    return Verdict("broken", show.place(why, request.root), show.body(why), why.log)


def _place(facts: Facts, request: Request) -> str:
    """The innermost line in the learner's files, else in the test: of those alone that were sent."""
    frames = [(Path(frame.path), frame.line) for frame in facts.frames if Path(frame.path) in request.files]
    mine = [frame for frame in frames if frame[0].parent == request.code and frame[0].name in request.lesson.edited]
    for path, line in [*mine[-1:], *frames[-1:]]:
        return f"{_short(path, request)}:{line}"
    return ""


def _short(path: Path, request: Request) -> str:
    return str(path.relative_to(request.root)) if path.is_relative_to(request.root) else str(path)
