"""The learner's view of a lesson: its steps, the first open one with file, line and TODO, the next command."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from harness.course.catalog import Course, Lesson
from harness.lab.guest import Lab
from harness.learner import progress
from harness.protocol.messages import Warned
from harness.protocol.names import LEARNERS_TEST
from harness.run import outcome, request, steps
from harness.run.outcome import StepResult
from harness.run.request import Request
from harness.run.verdict import Verdict

if TYPE_CHECKING:
    from harness.learner.judge import Judgement

LOG_ROWS = 120
WARNINGS_MAX = 5
MARKS = {
    "done": ("✔", "green"),
    "todo": ("○", "yellow"),
    "red": ("✘", "red"),
    "broken": ("✘", "red"),
    "lab": ("!", "magenta"),
    "blocked": ("·", "dim"),
    "skipped": ("-", "yellow"),
    "not run": ("?", "magenta"),
}


@dataclass(frozen=True)
class View:
    """Where the learner is in a lesson."""

    lesson: Lesson
    steps: list[StepResult]
    unreadable: str = ""
    in_guest_s: float = 0.0
    """Seconds from the start of the first test to the end of the last, with what the tests compile."""
    warnings: tuple[Warned, ...] = ()

    @property
    def open(self) -> StepResult | None:
        """The first step that is not done, rather one that waits for no other."""
        return steps.open_of(self.steps)

    def remember(self) -> None:
        """Write the learner's progress; what was done before a program was refused stays done."""
        done = steps.reached(self.steps)
        kind = self.open.verdict.kind if self.open else "red" if self.unreadable else "done"
        progress.note_check(self.lesson, kind, done, time.strftime("%Y-%m-%dT%H:%M:%S"))

    @property
    def exit_code(self) -> int:
        """0 done, 1 not yet, 3 the lab failed."""
        if any(result.verdict.kind == "lab" for result in self.steps):
            return 3
        return 1 if self.open or self.unreadable else 0


def specification(lesson: Lesson, tree: str, seed: int) -> Request:
    """The run that `verify` begins with: the specification alone."""
    return request.of_lesson(lesson, tree, tests=(lesson.tests,), seed=seed)


def verify(lab: Lab, lesson: Lesson, tree: str, say: Callable[[str], None], seed: int) -> View:
    """Check `lesson` in the lab; LabError when the lab cannot. What `say` raises ends the check."""
    asked = specification(lesson, tree, seed)
    results = outcome.run(lab, asked, say)
    found = outcome.by_step(lesson, results)
    if tree == "lessons":
        found = steps.at_the_step_reached(found, set(asked.holes), progress.standing(lesson).steps_done)
    for index, result in enumerate(found):
        if not result.step.mutant or result.verdict is steps.DONE_BEFORE:
            continue
        if steps.open_of(found[:index]) is None:
            from harness.learner import judge  # lessons without such a step need none of it

            judging = judge.once if tree == "lessons" else judge.judge
            found[index] = _own_test(asked, result, functools.partial(judging, lab, lesson, result.step, say=say))
        if (blocking := steps.open_of(found[: index + 1])) is not None:
            found[index:] = [one if one is blocking else steps.waiting(one, blocking) for one in found[index:]]
            break
    return View(lesson, found, results.unreadable, results.seconds, tuple(results.warnings))


def _own_test(asked: Request, result: StepResult, judged: Callable[[bytes], Judgement]) -> StepResult:
    """The step is the learner's own test: judge it, unless it is still the stub."""
    path, step = asked.code / LEARNERS_TEST, result.step
    place = f"{path.relative_to(asked.root)}"
    if (hole := asked.holes.get(step.number)) is not None:
        return StepResult(step, Verdict("todo", f"{place}:{hole.line}", str(hole)), 0, 1)
    if path not in asked.files:
        return StepResult(step, Verdict("red", place, "the file is missing"), 0, 1)
    found = judged(asked.files[path])
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
            count = result.verdict.text if result.verdict is steps.DONE_BEFORE else ""
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
    for warned in dict.fromkeys(f"{w.file}:{w.line}: {w.category}: {w.text}" for w in view.warnings[:WARNINGS_MAX]):
        console.print(Text(f"warning: {warned.removeprefix(f'{lesson.root}/')}", style="yellow"))
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
        later = Course.load(view.lesson.root).after(view.lesson)
        return f"make run-{number}, then " + (f"make lesson-{later.number}" if later else "make report")
    if result.verdict.kind == "lab":
        return "make check"
    if result.verdict.place.split(":")[0] == str(view.lesson.tests.relative_to(view.lesson.root)):
        return f"read {result.verdict.place}, fix your files in lessons/{view.lesson.name}, then make lesson-{number}"
    if result.verdict.place:
        return f"edit {result.verdict.place}, then make lesson-{number}"
    return f"pytest -c pyproject.toml lessons/{view.lesson.name}"
