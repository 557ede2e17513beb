"""What the outcome of a test means for the learner, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.protocol.facts import Facts
from harness.protocol.messages import Reported
from harness.protocol.names import LEARNERS_TEST
from harness.run.request import Request, is_mine
from harness.run.sentence import alone, without_repetition

if TYPE_CHECKING:
    from harness.explain.explanation import Explanation

Kind = Literal["not run", "todo", "red", "broken", "blocked", "skipped", "lab", "done"]

LIKELY = "likely cause: "
"""Begins the sentence under a test that saw nothing."""
SAID_NO = ("AssertionError", "Failed")
"""Classes of what a test raises when it says no itself: `assert`, and pytest.fail."""
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
    test: str = ""
    """The failing test's function and parameters."""
    code: str = ""
    """file:line of the learner's code for the step, where `place` is in a test."""
    why: Explanation | None = None
    """What `text` was made of (broken)."""

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.place, self.text]))

    def data(self) -> dict[str, str]:
        """The object that `--json` prints."""
        return {name: getattr(self, name) for name in ("kind", "place", "text", "log", "test", "code")}


NOT_RUN = Verdict("not run", text="this test did not run")


def of(report: Reported, request: Request, stderr: str = "") -> Verdict:
    """The verdict on one phase of a test of `request`, where `stderr` was printed."""
    facts = report.facts
    message = _sentence(report.nodeid, facts.message.removesuffix(PYTEST_ADVICE).rstrip())
    if report.outcome == "passed":
        return Verdict("done")
    if report.outcome == "skipped":
        return Verdict("blocked" if report.text.startswith("Skipped: blocked by step") else "skipped", text=report.text)
    if facts.lab:
        return Verdict("lab", text=facts.lab)
    if (reached := _todo_reached(facts, request)) is not None:
        return reached
    if facts.exception == "Exception":  # the class of what BCC raises
        from harness.run import reasons

        if (why := reasons.of_refusal(facts, request, stderr)) is not None:
            return _broken(why, request)
    test, step = report.nodeid.split("::", 1)[-1], request.step_of(report.nodeid)
    hole = request.holes.get(step or 0)
    if hole is not None:
        return Verdict("todo", f"{_short(hole.path, request)}:{hole.line}", f"{hole}\n{message}".rstrip(), test=test)
    said_no = _said_no(facts, request)
    text = (message if said_no else _with_class(facts.exception, message)) or report.text
    text += "" if said_no else _meaning(facts, request)
    if facts.kept is not None:
        text += f"\n\na callback raised {_with_class(facts.kept.exception, facts.kept.message)}"
        text += f" (kept in {facts.kept.name})"
    place, code = _places(facts, request, step)
    return Verdict("red", place, text + _likely(facts, request, step), test=test, code=code)


def _sentence(nodeid: str, message: str) -> str:
    """What an assertion says: those of a lesson's tests say it all in a sentence, those of a learner's may not."""
    return without_repetition(message) if is_mine(nodeid) else alone(message)


def _said_no(facts: Facts, request: Request) -> bool:
    """Whether the test itself failed on purpose; pytest.fail does, wherever it is called."""
    paths = [Path(frame.path) for frame in facts.frames if Path(frame.path) in request.files]
    return facts.exception == "Failed" or (facts.exception in SAID_NO and (not paths or paths[-1] in request.tests))


def _with_class(exception: str, message: str) -> str:
    return ": ".join(filter(None, [exception, message]))


def _likely(facts: Facts, request: Request, step: int | None) -> str:
    """One sentence more where the test saw no event and the kernel knows why."""
    if facts.activity is None or request.code != request.lesson.folder():  # a reference is right
        return ""
    from harness.run import reasons

    found = reasons.of_no_events(facts.activity, request, step)
    return f"\n\n{LIKELY}{found.text}\ntry: {found.advice}" if found else ""


def _meaning(facts: Facts, request: Request) -> str:
    """One sentence more where an exception of the learner's code is one that BCC's users often meet."""
    if not any(Path(frame.path) in request.files and _is_learners(Path(frame.path), request) for frame in facts.frames):
        return ""
    from harness.run import reasons

    found = reasons.of_exception(facts, request)
    return f"\n\n{LIKELY}{found.cause}\ntry: {found.advice}" if found else ""


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

    return Verdict("broken", show.place(why, request.root), show.body(why), why.log, why=why)


def _places(facts: Facts, request: Request, step: int | None) -> tuple[str, str]:
    """Where to look: the innermost line in the learner's files, else in the test, and where the step's code is.

    Where the test did not say no itself, what broke it is the learner's: that is not looked for in the test.
    """
    kept = facts.kept.frames if facts.kept else ()
    mine = [one for one in (*facts.frames, *kept) if _is_learners(Path(one.path), request)]
    if mine:
        return _at(Path(mine[-1].path), mine[-1].line, request), ""
    region = request.regions.get(step or 0)
    code = _at(region.path, region.line, request) if region else ""
    sent = [frame for frame in facts.frames if Path(frame.path) in request.files]
    if not sent:
        return "", code
    if code and facts.exception not in SAID_NO:
        return code, ""
    return _at(Path(sent[-1].path), sent[-1].line, request), code


def _is_learners(path: Path, request: Request) -> bool:
    if path not in request.files or path.name not in request.lesson.edited:
        return False
    return path.parent == request.code or path == request.lesson.folder() / LEARNERS_TEST


def _at(path: Path, line: int, request: Request) -> str:
    return f"{_short(path, request)}:{line}"


def _short(path: Path, request: Request) -> str:
    return str(path.relative_to(request.root)) if path.is_relative_to(request.root) else str(path)
