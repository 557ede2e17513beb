"""Runs a lesson's tests in the lab without pytest on this side, and sorts what came back by test and by step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.course.catalog import Lesson, Step
from harness.lab.guest import Lab
from harness.protocol.names import LEARNERS_TEST
from harness.run import session, verdict
from harness.run.session import Batch
from harness.run.verdict import Verdict


@dataclass
class TestResult:
    """One test: its verdict is that of the first phase that did not pass."""

    nodeid: str
    step: int | None
    verdict: Verdict = field(default_factory=lambda: Verdict("done"))
    exception: str = ""
    """Name of the exception's class, if there was one."""
    when: str = "call"
    """The phase that failed: setup, call or teardown."""
    output: str = ""
    printed: str = ""
    """The part of `output` that went to standard output."""
    measured: dict[str, Any] = field(default_factory=dict)
    """What the programs cost, where the run was asked to measure (harness.guest.testing.cost)."""

    @property
    def name(self) -> str:
        """The test's function and parameters."""
        return self.nodeid.split("::", 1)[-1]

    @property
    def failed_by_assertion(self) -> bool:
        """True if the test said no itself, and did not merely break."""
        return (
            self.verdict.kind in ("red", "todo")
            and self.exception in ("AssertionError", "Failed")
            and self.when == "call"
        )


@dataclass
class Results:
    """All that one run said."""

    tests: dict[str, TestResult] = field(default_factory=dict)
    unreadable: str = ""
    """Why a test file could not be imported, if so."""
    seconds: float = 0.0
    """From the start of the first test to the end of the last, as seen from here."""

    @property
    def green(self) -> bool:
        """Every test ran and passed, and there was one."""
        return bool(self.tests) and not self.unreadable and all(t.verdict.kind == "done" for t in self.tests.values())


def run(
    lab: Lab,
    lesson: Lesson,
    request: Batch,
    progress: Callable[[str], None] = lambda _: None,
    until: Callable[[TestResult], bool] = lambda _: False,
) -> Results:
    """Run `request`, up to the first test that `until` is true of; LabError when the lab cannot."""
    results = Results()
    # Closed at once, not when it is collected: with the run ends its guest, also where `progress` raises.
    with contextlib.closing(session.run(lab, request)) as events:
        _sort(events, results, lesson, request.code, progress, until)
    return results


def _sort(
    events: Iterator[session.Event],
    results: Results,
    lesson: Lesson,
    code: Path,
    progress: Callable[[str], None],
    until: Callable[[TestResult], bool],
) -> None:
    """Put what the events say into `results`."""
    output = {"stdout": "", "stderr": ""}
    begin: float | None = None
    for event in events:
        match event:
            case session.Collected(tests):
                for nodeid, step in tests:
                    results.tests[nodeid] = TestResult(nodeid, step)
            case session.Started(nodeid):
                begin = begin or time.monotonic()
                progress(nodeid.split("::", 1)[-1])
                output = {"stdout": "", "stderr": ""}
            case session.Output(stream, data):
                output[stream] += data.decode(errors="replace")
            case session.Reported(report):
                test = results.tests[report["nodeid"]]
                test.measured = report["facts"].get("measured") or test.measured
                _note(test, report, verdict.of(report["outcome"], report["facts"], lesson, code, output["stderr"]))
                test.output = output["stdout"] + output["stderr"]
                test.printed = output["stdout"]
            case session.Uncollectable(report):
                results.unreadable = collect_text(report)
            case session.Died(nodeid, reason, lost):
                results.tests[nodeid].verdict = (
                    Verdict("lab", text=reason) if lost else verdict.of_death(reason, lesson, code, output["stderr"])
                )
                results.tests[nodeid].output = output["stdout"] + output["stderr"]
            case session.Finished(nodeid):
                results.seconds = time.monotonic() - (begin or time.monotonic())
                if until(results.tests[nodeid]):
                    return


def collect_text(collect: dict[str, Any]) -> str:
    """What a serialised collect report says."""
    text = collect.get("longrepr")
    if isinstance(text, dict):
        text = text.get("longrepr") or (text.get("reprcrash") or {}).get("message")
    return str(text)


def _note(test: TestResult, report: dict[str, object], found: Verdict) -> None:
    if test.verdict.kind == "done" and found.kind != "done":
        facts = report["facts"]
        assert isinstance(facts, dict)
        test.verdict, test.exception, test.when = found, str(facts.get("exception", "")), str(report["when"])


@dataclass(frozen=True)
class StepResult:
    """A step: done when each of its tests passed, else what its first failing test said."""

    step: Step
    verdict: Verdict
    passed: int
    total: int


def by_step(lesson: Lesson, results: Results) -> list[StepResult]:
    """The results of the specification's tests, one entry for each of the lesson's steps."""
    found = []
    for step in lesson.steps:
        tests = [t for t in results.tests.values() if t.step == step.number and not is_mine(t.nodeid)]
        bad = [t.verdict for t in tests if t.verdict.kind != "done"]
        worst = bad[0] if bad else Verdict("done")
        found.append(StepResult(step, worst, len(tests) - len(bad), len(tests)))
    return found


def is_mine(nodeid: str) -> bool:
    """Whether the test is the learner's own."""
    return Path(nodeid.split("::")[0]).name == LEARNERS_TEST


def only(request: Batch, *names: str) -> Batch:
    """`request`, restricted to the tests named so (function names) in its first test file."""
    file = request.tests[0].relative_to(request.root)
    return replace(request, tests=request.tests[:1], wanted=tuple(f"{file}::{name}" for name in names))
