"""What the outcome of a test means for the learner, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.course import stubs
from harness.course.catalog import Lesson
from harness.explain import causes, show
from harness.explain.evidence import ATTACHING, LLVM, Evidence, Frame, of_data, stage_of
from harness.explain.explanation import explain
from harness.protocol.names import REFUSALS

Kind = Literal["todo", "red", "broken", "blocked", "lab", "done"]

SILENT = "the kernel says: "
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


def of(outcome: str, facts: dict[str, Any], lesson: Lesson, code: Path, stderr: str = "") -> Verdict:
    """The verdict on one phase of a test: pytest's outcome, the guest's facts, what was printed to standard error."""
    message = str(facts.get("message", "")).removesuffix(PYTEST_ADVICE).rstrip()
    if outcome == "passed":
        return Verdict("done")
    if outcome == "skipped":
        return Verdict("blocked" if message.startswith("blocked by step") else "done", text=message)
    if (reached := _todo_reached(facts, lesson, code)) is not None:
        return reached
    if facts.get("exception") == "Exception" and (message.startswith(REFUSALS) or ATTACHING.match(message)):
        return _broken(facts, lesson, code, stderr)
    step = facts.get("step")
    hole = stubs.open_hole(lesson, code, step) if isinstance(step, int) else None
    if hole is not None:
        return Verdict("todo", f"{_short(hole.path, lesson)}:{hole.line}", f"{hole}\n{message}".rstrip())
    return Verdict("red", _place(facts, lesson, code), (message or str(facts.get("exception", ""))) + _silence(facts))


def _silence(facts: dict[str, Any]) -> str:
    """One sentence more where the test saw no event and the kernel knows why."""
    found = causes.cause(facts["silent"]) if facts.get("silent") else None
    return f"\n\n{SILENT}{found.text}\ntry: {found.advice}" if found else ""


def _todo_reached(facts: dict[str, Any], lesson: Lesson, code: Path) -> Verdict | None:
    """The verdict if the failure is a stub's NotImplementedError."""
    if facts.get("exception") != "NotImplementedError" or not facts.get("frames"):
        return None
    path, line, _ = facts["frames"][-1]
    if Path(path).name not in lesson.edited or not str(facts["message"]).startswith("TODO "):
        return None
    return Verdict("todo", f"{_short(Path(path), lesson)}:{line}", str(facts["message"]))


def of_death(reason: str, lesson: Lesson, code: Path, stderr: str) -> Verdict:
    """The verdict on a test whose process ended: LLVM's back end does that where it cannot go on."""
    if LLVM.search(stderr):
        return _broken({"message": reason}, lesson, code, stderr)
    return Verdict("red", text=reason)


def _broken(facts: dict[str, Any], lesson: Lesson, code: Path, stderr: str) -> Verdict:
    """What is wrong with a program that BCC, the compiler or the kernel refused, at the learner's own line."""
    found = explain(_evidence(facts, lesson, code, stderr))
    return Verdict("broken", show.place(found, lesson.root), show.body(found), found.log)


def _evidence(facts: dict[str, Any], lesson: Lesson, code: Path, stderr: str) -> Evidence:
    """What the guest gathered, else what was printed and raised."""
    gathered: dict[str, Any] = facts.get("evidence") or {}
    own = {path: path.read_text(errors="replace") for path in code.glob("*.c")}
    if "stage" in gathered and (known := of_data(gathered, own)).stage != "ok":  # it may have failed once and not again
        return known
    message, program = str(facts.get("message", "")), code / f"{lesson.stem}.bpf.c"
    frames = tuple(Frame(Path(name), line, "") for name, line, _ in facts.get("frames", ()))
    return Evidence(
        stage_of(f"{stderr}\n{message}"), stderr, code / "loader.py", program, own.get(program, ""),
        exception=str(facts.get("exception", "")), message=message, frames=frames, facts=gathered.get("attach", {}),
    )  # fmt: skip


def _place(facts: dict[str, Any], lesson: Lesson, code: Path) -> str:
    """The innermost line in the learner's files, else in the test."""
    frames = [(Path(path), line) for path, line, _ in facts.get("frames", ())]
    mine = [frame for frame in frames if frame[0].parent == code and frame[0].name in lesson.edited]
    tests = [frame for frame in frames if frame[0].is_relative_to(lesson.root)]
    for path, line in [*mine[-1:], *tests[-1:]]:
        return f"{_short(path, lesson)}:{line}"
    return ""


def _short(path: Path, lesson: Lesson) -> str:
    return str(path.relative_to(lesson.root)) if path.is_relative_to(lesson.root) else str(path)
