"""The half of the author's check that needs guests: stubs red, solutions green, each step and each mutant proven.

The solution's green run of all tests is the yardstick of a check: only a test that passed there kills a mutant, so each
mutant costs one run, of that test alone. Steps and mutants share a guest. Solution, stub and oracle, which they are
measured against, run in separate guests.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.authoring import depends, pages
from harness.authoring.parts import Finding
from harness.course import files, mutants, stubs
from harness.course.catalog import Course, Lesson, Step
from harness.course.mutants import Mutant
from harness.errors import LabError, UsageError
from harness.lab.guest import Lab
from harness.lab.shared import SharedLab
from harness.learner import judge
from harness.protocol.names import LEARNERS_TEST, function_of
from harness.run import outcome
from harness.run.outcome import Results, TestResult
from harness.run.request import is_mine, of_lesson
from harness.run.request import reference as reference_run

SOLUTION = "solution green"
Reference = Future[Results]
"""The solution's run of this check, there when it has ended."""


@dataclass(frozen=True)
class Job:
    """One check."""

    lesson: Lesson
    what: str
    check: Callable[[Lab], Finding]
    digest: str = ""
    """Of all that the check depends on."""
    fresh: bool = True
    """In a fresh guest; else in one that earlier runs used."""
    promise: Reference | None = None
    """What other checks wait for: kept by this one, or broken where it fails."""


class Labs(contextlib.ExitStack):
    """The labs of the threads that work side by side: to each a shared one, and fresh ones as needed."""

    def __init__(self, new_lab: Callable[[], Lab]) -> None:
        super().__init__()
        self._new_lab = new_lab
        self._mine = threading.local()

    def lab(self, fresh: bool) -> Lab:
        """A fresh lab, for which this thread's shared guest ends; or the shared one."""
        shared: SharedLab | None = getattr(self._mine, "shared", None)
        if fresh:
            if shared:
                shared.close()
            return self._new_lab()
        if shared is None:
            shared = self._mine.shared = self.enter_context(SharedLab(self._new_lab()))
        return shared


def check_in_lab(
    chosen: Sequence[Lesson], new_lab: Callable[[], Lab], guests: int, say: Callable[[Finding], None]
) -> list[Finding]:
    """All that needs guests, of the chosen lessons."""
    jobs = [job for lesson in chosen for job in jobs_of(lesson)]
    return run_jobs(jobs, new_lab, guests, lambda _, finding: say(finding))


def run_jobs(
    jobs: Sequence[Job], new_lab: Callable[[], Lab], guests: int, say: Callable[[Job, Finding], None]
) -> list[Finding]:
    """Run them, `guests` at a time."""
    found = []
    with Labs(new_lab) as labs, ThreadPoolExecutor(guests) as pool:
        # Jobs begin in order, so that a solution's run has begun before anything waits for it.
        for job, finding in zip(jobs, pool.map(partial(_done, labs), jobs), strict=True):
            say(job, finding)
            found.append(finding)
    return found


def jobs_of(lesson: Lesson) -> Iterator[Job]:
    """The checks of one lesson, the solution's run first."""
    reference: Reference = Future()
    rests_on = depends.of_lesson(lesson)
    yield Job(lesson, SOLUTION, partial(_solution, lesson, reference), rests_on, promise=reference)
    yield Job(lesson, "stub red", partial(_stub, lesson), rests_on)
    if lesson.program.name in lesson.edited:
        yield Job(lesson, "C stub loads", partial(_c_stub, lesson), rests_on)
    if lesson.oracle.exists():
        yield Job(lesson, "oracle", partial(_oracle, lesson), depends.of_oracle(lesson))
    if lesson.page.exists():
        yield Job(lesson, "page", partial(_page, lesson), depends.of_page(lesson))
    for step in lesson.steps:
        check = partial(_own_test if step.mutant else _step_is_proven, lesson, step, reference)
        yield Job(lesson, f"step {step.number}", check, depends.of_step(lesson, step), fresh=False)
    for mutant in mutants.load(lesson):
        check = partial(_mutant, lesson, mutant, reference)
        rests_on = depends.of_mutant(lesson, mutant)
        yield Job(lesson, f"mutant {mutant.name}", check, rests_on, fresh=False)


def _done(labs: Labs, job: Job) -> Finding:
    begin = time.monotonic()
    try:
        finding = job.check(labs.lab(job.fresh))
    except BaseException as error:
        if job.promise is not None and not job.promise.done():
            job.promise.set_exception(error)
        if not isinstance(error, LabError | UsageError):
            raise
        fault = "the lab: " if isinstance(error, LabError) else ""
        finding = Finding(job.lesson.name, job.what, False, f"{fault}{error}", lab=isinstance(error, LabError))
    return replace(finding, seconds=time.monotonic() - begin)


def _solution(lesson: Lesson, reference: Reference, lab: Lab) -> Finding:
    results = outcome.run(lab, reference_run(lesson))
    reference.set_result(results)
    steps = [t.step for t in results.tests.values() if t.step is not None and not is_mine(t.nodeid)]
    ordered = steps == sorted(steps)
    why = failures(results) if ordered else "the tests do not stand in the order of their steps"
    return Finding(lesson.name, f"solution green ({len(results.tests)} tests)", results.green and ordered, why)


def _oracle(lesson: Lesson, lab: Lab) -> Finding:
    """The reference agrees with an independent tool; the numbers of both are shown."""
    travels = {path: files.read(path) for path in (lesson.oracle, *lesson.oracle.parent.glob("*.c"))}
    results = outcome.run(lab, of_lesson(lesson, "solutions", replaced=travels, tests=(lesson.oracle,)))
    printed = [line.strip() for test in results.tests.values() for line in test.printed.splitlines() if line.strip()]
    ok = results.green and bool(printed)
    why = "" if ok else failures(results) or "it prints no numbers"
    return Finding(lesson.name, "oracle agrees", ok, why, shown="; ".join(printed))


def _page(lesson: Lesson, lab: Lab) -> Finding:
    """The page's commands print what the page shows; each starts its own guest, as it does for a reader."""
    found = pages.changes(lesson.page, lesson.root, Course.load(lesson.root), ("run",))
    drifted = [f"{change}; next: workbook author pages {lesson.number}" for change in found]
    return Finding(
        lesson.name, f"page {lesson.page.name} shows what its commands print", not drifted, "; ".join(drifted)
    )


def _generated(lesson: Lesson, tree: str) -> dict[Path, bytes]:
    return {lesson.folder(tree) / name: text.encode() for name, text in stubs.stubs(lesson).items()}


def _stub(lesson: Lesson, lab: Lab) -> Finding:
    """The stub as it is: its first step stops at its TODO, and every later step waits."""
    request = of_lesson(lesson, "lessons", replaced=_generated(lesson, "lessons"), tests=(lesson.tests,))
    results = outcome.run(lab, request)
    first = stubs.holes(lesson)[0]
    place = f"{first.path.relative_to(lesson.root)}:{first.line}"
    seen = [result.verdict for result in outcome.by_step(lesson, results) if result.total]
    ok = bool(seen) and seen[0].kind == "todo" and seen[0].place == place and all(v.kind == "blocked" for v in seen[1:])
    return Finding(lesson.name, f"stub red at {place}", ok, "; ".join(f"{v.kind} {v}" for v in seen))


def _c_stub(lesson: Lesson, lab: Lab) -> Finding:
    """The reference's loader on the C stub: it compiles, verifies, attaches, and merely does nothing yet."""
    replaced = {lesson.program: stubs.stubs(lesson)[lesson.program.name].encode()}
    request = of_lesson(lesson, "solutions", replaced=replaced, tests=(lesson.tests,))
    results = outcome.run(lab, request)
    broken = [t for t in results.tests.values() if _does_not_load(t)]
    ok = bool(results.tests) and not broken and not results.unreadable
    return Finding(lesson.name, "C stub loads as shipped", ok, "; ".join(f"{t.name}: {t.verdict}" for t in broken))


def _does_not_load(test: TestResult) -> bool:
    """The failure is not a test's own no: the program was refused, a fixture broke, or nothing ran."""
    return test.verdict.kind in ("broken", "lab", "not run") or (test.verdict.kind == "red" and test.when == "setup")


def _step_is_proven(lesson: Lesson, step: Step, reference: Reference, lab: Lab) -> Finding:
    """The reference with this one TODO open again: the first test that does not pass is one of the step's own.

    Each earlier step is there with its first test, all of its tests would cost the author's check minutes more.
    """
    what = f"step {step.number} is proven by its tests"
    replaced = {}
    for name in lesson.edited:
        path = lesson.folder("solutions") / name
        replaced[path] = stubs.stub_of(files.read_text(path), path, only=step.number).encode()
    wanted = tuple(_own_and_the_first_of_earlier(reference.result(), step.number))
    request = of_lesson(lesson, "solutions", replaced=replaced, tests=(lesson.tests,)).restricted(wanted)
    results = outcome.run(lab, request, until=lambda test: not test.done)
    stop = next((t for t in results.tests.values() if not t.done), None)
    if stop is None:
        return Finding(lesson.name, what, False, results.unreadable or "no test stops at it")
    ok = stop.step == step.number and (stop.exception == "NotImplementedError" or stop.failed_by_assertion)
    return Finding(lesson.name, what, ok, f"{stop.name} stops: {stop.verdict}")


def _own_and_the_first_of_earlier(results: Results, number: int) -> Iterator[str]:
    seen = set()
    for test in results.tests.values():
        if is_mine(test.nodeid) or test.step is None or test.step > number:
            continue
        if test.step == number or test.step not in seen:
            yield test.nodeid
        seen.add(test.step)


def _own_test(lesson: Lesson, step: Step, reference: Reference, lab: Lab) -> Finding:
    """The reference's answer to the learner's test, judged; the solution's run was its first on the reference."""
    what = f"step {step.number}: the reference's own test catches {step.mutant}"
    before = [t for t in reference.result().tests.values() if is_mine(t.nodeid)]
    if not before or any(not t.done for t in before):
        return Finding(lesson.name, what, False, "it is not green on the reference")
    mine = files.read(lesson.folder("solutions") / LEARNERS_TEST)
    found = judge.judge(lab, lesson, step, mine, runs=judge.REFERENCE_RUNS - 1)
    return Finding(lesson.name, what, found.catches, found.why_not)


def _mutant(lesson: Lesson, mutant: Mutant, reference: Reference, lab: Lab) -> Finding:
    """The named test fails on the mutant by its own assertion, and passed in the solution's run of this check."""
    what = f"mutant {mutant.name} killed by {mutant.killed_by}"
    right = named(mutant.killed_by, reference.result())
    if not right or any(not t.done for t in right):
        state = "is not green on the reference" if right else "does not exist"
        return Finding(lesson.name, what, False, f"the test {state}")
    request = of_lesson(lesson, "solutions", tests=(lesson.tests,), replaced=mutants.apply(mutant, lesson))
    alone = request.restricted(tuple(test.nodeid for test in right))
    wrong = outcome.run(lab, alone, until=lambda test: test.failed_by_assertion)
    killed = any(t.failed_by_assertion for t in wrong.tests.values())
    return Finding(lesson.name, what, killed, "" if killed else f"survived: {failures(wrong) or 'the test passed'}")


def named(function: str, results: Results) -> list[TestResult]:
    """The tests of that function, or that one of its parameters."""
    return [t for t in results.tests.values() if function in (t.name, function_of(t.name))]


def failures(results: Results) -> str:
    """What was not green, on one line."""
    bad = [
        f"{t.name}: {t.verdict.kind} {t.verdict} ({t.exception}, {t.when})"
        for t in results.tests.values()
        if not t.done
    ]
    return "; ".join([results.unreadable] * bool(results.unreadable) + bad)
