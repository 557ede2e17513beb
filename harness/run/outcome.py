"""Runs a lesson's tests in the lab without pytest on this side, and sorts what came back by test and by step.

A test begins as "not run". It is done when it passed all its phases and ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.course.catalog import Lesson, Step
from harness.lab.channel import Output
from harness.lab.guest import Lab
from harness.protocol.facts import Measured
from harness.protocol.messages import Collected, Compiling, Finished, Reported, Started, Uncollectable, Warned
from harness.protocol.names import function_of
from harness.protocol.visible import visible
from harness.run import session, verdict
from harness.run.request import Request, is_mine
from harness.run.session import Died, Event
from harness.run.verdict import NOT_RUN, Verdict

OUTPUT_KEPT = 4 << 20
"""Bytes of each stream kept for one test; the guest's agent sends 1 MiB."""


TIMED_OUT = "Timeout (>"
"""Begins the words of pytest-timeout, which fails a test as `pytest.fail` does (pytest_timeout.py 2.4)."""


@dataclass
class TestResult:
    """One test: its verdict is that of the first phase that did not pass."""

    __test__ = False

    nodeid: str
    step: int | None
    verdict: Verdict = NOT_RUN
    exception: str = ""
    """Name of the exception's class, if there was one."""
    when: str = "call"
    """The phase that failed: setup, call or teardown."""
    output: str = ""
    printed: str = ""
    """The part of `output` that went to standard output."""
    measured: Measured | None = None
    """What the programs cost, where the run was asked to measure."""
    asserted: tuple[int, ...] | None = None
    """Lines of the assertions that held, where the run was asked for them."""

    @property
    def name(self) -> str:
        """The test's function and parameters."""
        return self.nodeid.split("::", 1)[-1]

    @property
    def done(self) -> bool:
        return self.verdict.kind == "done"

    @property
    def failed_by_assertion(self) -> bool:
        """True if the test said no itself: it did not merely break, and was not ended at its deadline."""
        return (
            self.verdict.kind in ("red", "todo")
            and self.exception in ("AssertionError", "Failed")
            and self.when == "call"
            and not self.timed_out
        )

    @property
    def timed_out(self) -> bool:
        """True if the test was ended at its deadline."""
        return self.exception == "Failed" and self.verdict.text.startswith(TIMED_OUT)


@dataclass
class Results:
    """All that one run said."""

    request: Request | None = None
    tests: dict[str, TestResult] = field(default_factory=dict)
    unreadable: str = ""
    """Why a test file could not be imported, if so."""
    seconds: float = 0.0
    """From the start of the first test to the end of the last, as seen from here."""
    warnings: list[Warned] = field(default_factory=list)

    @property
    def green(self) -> bool:
        """Every test ran and passed, and there was one."""
        return bool(self.tests) and not self.unreadable and all(test.done for test in self.tests.values())


def run(
    lab: Lab,
    request: Request,
    progress: Callable[[str], None] = lambda _: None,
    until: Callable[[TestResult], bool] = lambda _: False,
) -> Results:
    """Run `request`, up to the first test that `until` is true of; LabError when the lab cannot."""
    results = Results(request)
    for nodeid, step in request.functions.items():
        results.tests[nodeid] = TestResult(nodeid, step)
    # Closed at once, not when it is collected: with the run ends its guest, also where `progress` raises.
    with contextlib.closing(session.run(lab, request)) as events:
        _sort(events, results, request, progress, until)
    return results


@dataclass
class _Heard:
    """What the test that runs has said so far."""

    nodeid: str = ""
    output: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    found: Verdict | None = None
    """The verdict of the first phase that did not pass."""

    def text(self, stream: str) -> str:
        return visible(self.output[stream].decode(errors="replace"))


def _sort(
    events: Iterator[Event],
    results: Results,
    request: Request,
    progress: Callable[[str], None],
    until: Callable[[TestResult], bool],
) -> None:
    """Put what the events say into `results`."""
    heard = _Heard()
    begin: float | None = None
    started = 0
    for event in events:
        match event:
            case Collected(tests=tests):
                _expand(results, tests)
                progress(f"restored, {len(results.tests)} test{'s' * (len(results.tests) != 1)}")
            case Started(nodeid=nodeid):
                begin = begin or time.monotonic()
                started += 1
                progress(f"test {started} of {len(results.tests)}: {nodeid.split('::', 1)[-1]}")
                heard = _Heard(nodeid)
            case Compiling():
                progress(f"test {started} of {len(results.tests)}: compiling")
            case Output(stream, data):
                heard.output[stream] += data[: max(0, OUTPUT_KEPT - len(heard.output[stream]))]
            case Reported():
                _note(results.tests[event.nodeid], event, verdict.of(event, request, heard.text("stderr")), heard)
            case Uncollectable(text=text):
                results.unreadable = text
            case Warned():
                results.warnings.append(event)
            case Died():
                heard.found = (
                    Verdict("lab", text=event.reason)
                    if event.lab
                    else verdict.of_death(event.reason, request, heard.text("stderr"))
                )
            case Finished(nodeid=nodeid):
                results.seconds = time.monotonic() - (begin or time.monotonic())
                test = results.tests[nodeid]
                test.verdict = heard.found or Verdict("done")
                test.printed = heard.text("stdout")
                test.output = test.printed + heard.text("stderr")
                if until(test):
                    return


def _expand(results: Results, tests: tuple[str, ...]) -> None:
    """Each function's place taken by its cases; one that was not collected stays, as not run."""
    cases: dict[str, list[str]] = {}
    for nodeid in tests:
        cases.setdefault(function_of(nodeid), []).append(nodeid)
    before, results.tests = results.tests, {}
    for nodeid, test in before.items():
        found = cases.get(nodeid, []) if test.verdict is NOT_RUN else []
        for case in found:
            results.tests[case] = before.get(case) or TestResult(case, test.step)
        if not found:
            results.tests[nodeid] = test


def _note(test: TestResult, report: Reported, found: Verdict, heard: _Heard) -> None:
    test.measured = report.facts.measured or test.measured
    test.asserted = report.facts.asserted if report.when == "call" else test.asserted
    if heard.found is None and found.kind != "done":
        heard.found = found
        test.exception, test.when = report.facts.exception, report.when


@dataclass(frozen=True)
class StepResult:
    """A step: done when each of its tests passed, else what its first failing test said."""

    step: Step
    verdict: Verdict
    passed: int
    total: int


def by_step(lesson: Lesson, results: Results) -> list[StepResult]:
    """The results of the specification's tests, one entry for each of the lesson's steps.

    A test of none of them counts for the last: it must pass too.
    """
    in_code = [step.number for step in lesson.steps if not step.mutant]
    tests_of: dict[int, list[TestResult]] = {step.number: [] for step in lesson.steps}
    for test in results.tests.values():
        if not is_mine(test.nodeid):
            tests_of[test.step if test.step in in_code else max(in_code, default=1)].append(test)
    found = []
    for step in lesson.steps:
        tests = tests_of[step.number]
        bad = [t.verdict for t in tests if not t.done]
        worst = bad[0] if bad else Verdict("done") if tests else NOT_RUN
        found.append(StepResult(step, worst, len(tests) - len(bad), len(tests)))
    return found
