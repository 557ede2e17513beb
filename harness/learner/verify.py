"""The learner's view of a lesson: its steps, the first open one with file, line and TODO, the next command."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.console import Console
from rich.text import Text

from harness.course import catalog, stubs
from harness.course.catalog import Lesson
from harness.lab.guest import Lab
from harness.learner import judge, progress
from harness.run import outcome, payload
from harness.run.outcome import StepResult
from harness.run.session import Batch
from harness.run.verdict import Verdict

LOG_ROWS = 120
DONE_BEFORE = "done before"
MARKS = {
    "done": ("✔", "green"),
    "todo": ("○", "yellow"),
    "red": ("✘", "red"),
    "broken": ("✘", "red"),
    "lab": ("!", "magenta"),
    "blocked": ("·", "dim"),
}


@dataclass(frozen=True)
class View:
    """Where the learner is in a lesson."""

    lesson: Lesson
    steps: list[StepResult]
    unreadable: str = ""
    in_guest_s: float = 0.0
    """Seconds from the start of the first test to the end of the last, with what the tests compile."""

    @property
    def open(self) -> StepResult | None:
        """The first step that is not done, rather one that waits for no other."""
        return _open(self.steps)

    def remember(self) -> None:
        """Write the learner's progress; what was done before a program was refused stays done."""
        done = sum(1 for _ in itertools.takewhile(lambda result: _behind(result.verdict), self.steps))
        kind = self.open.verdict.kind if self.open else "red" if self.unreadable else "done"
        progress.note_check(self.lesson, kind, done, time.strftime("%Y-%m-%dT%H:%M:%S"))

    @property
    def exit_code(self) -> int:
        """0 done, 1 not yet, 3 the lab failed."""
        if any(result.verdict.kind == "lab" for result in self.steps):
            return 3
        return 1 if self.open or self.unreadable else 0


def _open(steps: list[StepResult]) -> StepResult | None:
    left = [result for result in steps if result.verdict.kind != "done"]
    return next((result for result in left if result.verdict.kind != "blocked"), left[0] if left else None)


def _behind(verdict: Verdict) -> bool:
    return verdict.kind == "done" or verdict.text == DONE_BEFORE


def request(lesson: Lesson, tree: str, seed: int) -> Batch:
    """The run that `verify` begins with: the specification alone."""
    return payload.batch(lesson, tree, tests=(lesson.tests,), seed=seed)


def verify(lab: Lab, lesson: Lesson, tree: str, say: Callable[[str], None], seed: int) -> View:
    """Check `lesson` in the lab; LabError when the lab cannot. What `say` raises ends the check."""
    results = outcome.run(lab, lesson, request(lesson, tree, seed), say)
    steps = outcome.by_step(lesson, results)
    if tree == "lessons":
        steps = at_the_step_reached(lesson, steps, progress.standing(lesson).steps_done)
    for index, result in enumerate(steps):
        before = all(other.verdict.kind == "done" for other in steps[:index])
        if result.step.mutant and result.verdict.text != DONE_BEFORE:
            judging = judge.once if tree == "lessons" else judge.judge
            judged = functools.partial(judging, lab, lesson, result.step, say=say)
            steps[index] = _own_test(lesson, tree, result, judged) if before else _waits(result, steps[:index])
            if steps[index].verdict.kind != "done":
                steps[index + 1 :] = [_waits(later, [steps[index]]) for later in steps[index + 1 :]]
                break
    return View(lesson, steps, results.unreadable, results.seconds)


def at_the_step_reached(lesson: Lesson, steps: list[StepResult], reached: int) -> list[StepResult]:
    """A refused program fails the first test already: show it at the step that the learner works on.

    That is the one behind the `reached` steps of the last check, unless a hole before it is open (again). Own tests
    hold nothing that a compiler or the kernel could refuse.
    """
    holes = stubs.open_holes(lesson, lesson.folder())
    untouched = (index for index, step in enumerate(lesson.steps) if step.number in holes)
    at = min(reached, next(untouched, reached), len(steps) - 1)
    while at > 0 and steps[at].step.mutant:
        at -= 1
    first = next((index for index, result in enumerate(steps) if result.verdict.kind != "done"), at)
    if first >= at or steps[first].verdict.kind != "broken":
        return steps
    waiting = Verdict("blocked", text=DONE_BEFORE)
    before = [replace(result, verdict=waiting, passed=0) for result in steps[first:at]]
    return [*steps[:first], *before, replace(steps[at], verdict=steps[first].verdict, passed=0), *steps[at + 1 :]]


def _waits(result: StepResult, before: list[StepResult]) -> StepResult:
    blocking = _open(before)
    assert blocking is not None
    text = f"blocked by step {blocking.step.number}"
    return StepResult(result.step, Verdict("blocked", text=text), 0, result.total)


def _own_test(lesson: Lesson, tree: str, result: StepResult, judged: Callable[[bytes], judge.Judgement]) -> StepResult:
    """The step is the learner's own test: judge it, unless it is still the stub."""
    code, step = lesson.folder(tree), result.step
    place = f"{(code / 'test_mine.py').relative_to(lesson.root)}"
    if (hole := stubs.open_hole(lesson, code, step.number)) is not None:
        return StepResult(step, Verdict("todo", f"{place}:{hole.line}", str(hole)), 0, 1)
    if not (code / "test_mine.py").exists():
        return StepResult(step, Verdict("red", place, "the file is missing"), 0, 1)
    found = judged((code / "test_mine.py").read_bytes())
    verdict = Verdict("done") if found.catches else Verdict("red", found.place or place, found.why_not)
    return StepResult(step, verdict, int(found.catches), 1)


def show(view: View, console: Console, tree: str = "lessons") -> None:
    """Print the steps, what the open one needs, and the next command."""
    lesson = view.lesson
    console.print(Text.assemble(("Lesson ", "bold"), (lesson.number, "bold"), (f" · {lesson.title}", "bold")))
    console.print()
    width = max(len(result.step.title) for result in view.steps)
    for result in view.steps:
        mark, style = MARKS[result.verdict.kind]
        count = f"{result.passed}/{result.total} tests"
        if result.verdict.kind == "blocked":
            count = DONE_BEFORE if result.verdict.text == DONE_BEFORE else ""
        line = f"  {mark} {result.step.number}  {result.step.title:<{width}}  {result.verdict.kind:<8} {count}"
        console.print(Text(line.rstrip(), style=style))
    console.print()
    if view.unreadable:
        console.print(Text(view.unreadable))
    if (current := view.open) is not None:
        console.print(Text(current.verdict.place, style="bold"))
        console.print(Text.assemble("    ", current.verdict.text.replace("\n", "\n    ")))
        console.print()
        _show_log(current.verdict, console)
    console.print(Text(f"next: {next_command(view, tree)}"))


def _show_log(verdict: Verdict, console: Console) -> None:
    """The log behind a broken program; of one that fills many screens its end, and how to see all."""
    rows = verdict.log.splitlines()
    if not rows:
        return
    console.print(
        Text("the whole log:" if len(rows) <= LOG_ROWS else f"the last {LOG_ROWS} lines of its log:", style="dim")
    )
    console.print(Text("\n".join(rows[-LOG_ROWS:]), style="dim"))
    if len(rows) > LOG_ROWS:
        console.print(Text(f"all {len(rows)} lines: workbook explain {verdict.place.split(':')[0]}", style="dim"))
    console.print()


def next_command(view: View, tree: str) -> str:
    """The command to type now."""
    number, result = view.lesson.number, view.open
    if result is None:
        if tree == "solutions":
            return f"make lesson-{number}"
        later = [lesson for lesson in catalog.lessons(view.lesson.root) if lesson.number > number]
        return f"make run-{number}, then " + (f"make lesson-{later[0].number}" if later else "make report")
    if result.verdict.kind == "lab":
        return "make check"
    if result.verdict.place.split(":")[0] == str(view.lesson.tests.relative_to(view.lesson.root)):
        return f"read {result.verdict.place}, mend your files in lessons/{view.lesson.name}, then make lesson-{number}"
    if result.verdict.place:
        return f"edit {result.verdict.place}, then make lesson-{number}"
    return f"pytest lessons/{view.lesson.name}"
