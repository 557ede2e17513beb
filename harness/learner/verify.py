"""The learner's view of a lesson: its steps, the first open one with file, line and TODO, the next command."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from harness.course import regions
from harness.course.catalog import TRACKS, Course, Lesson
from harness.lab.guest import Lab
from harness.learner import logs, progress
from harness.protocol.messages import Warned
from harness.protocol.names import LEARNERS_TEST
from harness.run import outcome, request, steps
from harness.run.outcome import StepResult
from harness.run.request import Request
from harness.run.verdict import NOT_RUN, Verdict

if TYPE_CHECKING:
    from harness.learner.judge import Judgement

LOG_ROWS = 5
"""Of a refused program's log on the screen, before the explanation, which must not scroll away."""
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
    took_s: float = 0.0
    """Seconds of the whole check."""
    seed: int | None = None
    request: Request | None = None
    """What ran."""
    on: str = ""
    """In which lab, where it was not the default one."""

    @property
    def open(self) -> StepResult | None:
        """The first step that is not done, rather one that waits for no other."""
        return steps.open_of(self.steps)

    def remember(self) -> None:
        """Write the learner's progress; what was done before a program was refused stays done."""
        done = steps.reached(self.steps)
        kind = self.open.verdict.kind if self.open else "red" if self.unreadable else "done"
        when, refused = time.strftime("%Y-%m-%dT%H:%M:%S"), _refused_at(self)
        todo = refused[2] if refused else 0
        progress.note_check(self.lesson, kind, done, when, self.took_s, self.on, todo)

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
    begin = time.monotonic()
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
    took, warnings = time.monotonic() - begin, tuple(results.warnings)
    return View(lesson, found, results.unreadable, results.seconds, warnings, took, seed, asked, lab.on)


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


def show(view: View, console: Console, tree: str = "lessons", watching: bool = False) -> None:
    """Print the steps, what the open one needs, and the next command; `watching`, a save is the next command."""
    lesson = view.lesson
    where = (f" (on {view.on})" if view.on else "", "dim")
    console.print(Text.assemble(("Lesson ", "bold"), (lesson.number, "bold"), (f" · {lesson.title}", "bold"), where))
    console.print()
    if said := does_not_load(view):
        console.print(Text(f"{said}\n", style="red"))
    width = max(len(result.step.title) for result in view.steps)
    for result in view.steps:
        mark, style = MARKS[result.verdict.kind]
        state = f"{result.verdict.kind:<8} {result.passed}/{result.total} tests"
        if result.verdict.kind == "blocked":
            state = f"not checked ({result.verdict.text})" if result.verdict is steps.DONE_BEFORE else "blocked"
        line = f"  {mark} {result.step.number}  {result.step.title:<{width}}  {state}"
        console.print(Text(line.rstrip(), style=style))
    console.print()
    if view.unreadable:
        console.print(Text(view.unreadable))
    if (current := view.open) is not None:
        _show_log(current.verdict, lesson, console)
        _show_verdict(current.verdict, console)
    for warned in warnings(view):
        console.print(Text(warned, style="yellow"))
    if command := next_command(view, tree, watching):
        console.print(Text(f"next: {command}"))
    if view.exit_code and view.seed is not None:
        of_tree = "" if tree == "lessons" else f" --tree {tree}"
        again = f"to repeat with the same random names: workbook verify {lesson.number}{of_tree} --seed {view.seed}"
        console.print(Text(again, style="dim"))


def warnings(view: View) -> list[str]:
    """What pytest warned of in the learner's files, each once."""
    said = dict.fromkeys(f"{w.file}:{w.line}: {w.category}: {w.text}" for w in view.warnings[:WARNINGS_MAX])
    return [f"warning: {one.removeprefix(f'{view.lesson.root}/')}" for one in said]


def _show_verdict(found: Verdict, console: Console) -> None:
    """Where to look, in which test, and what was expected and seen."""
    title = "  ".join(filter(None, [found.place, f"failing test: {found.test}" if found.test else ""]))
    console.print(Text(title, style="bold"))
    if console.is_terminal:  # breaks lines between words; in a file they stay whole
        console.print(Padding(Text(found.text), (0, 0, 0, 4)), soft_wrap=False)
    else:
        console.print(Text.assemble("    ", found.text.replace("\n", "\n    ")))
    console.print()


def _refused_at(view: View) -> tuple[str, int, int] | None:
    """File, line and TODO (0 outside of all) that a refused program is about; None where none was refused."""
    found = view.open.verdict if view.open else NOT_RUN
    name, line, *_ = [*found.place.split(":"), "", ""]
    path = view.lesson.root / name
    if found.kind != "broken" or path.suffix != ".c" or not line or view.request is None:
        return None
    region = regions.at(view.request.regions, path, int(line))
    return path.name, int(line), region.number if region else 0


def does_not_load(view: View) -> str:
    """The line and the TODO that a refused program is about: the step under which it is shown may be another."""
    if (refused := _refused_at(view)) is None:
        return ""
    name, line, todo = refused
    return f"the program does not load: {name}, line {line}" + (f", in TODO {todo}" if todo else "")


def _show_log(verdict: Verdict, lesson: Lesson, console: Console) -> None:
    """The rows of a broken program's log up to the essential one, and the file that holds all of it."""
    from harness.explain import show

    rows = verdict.log.splitlines()
    if not rows:
        return
    if len(rows) <= LOG_ROWS:
        console.print(Text("\n".join(["the log:", *rows]), style="dim"))
    else:
        shown = show.excerpt(verdict.log, verdict.why.message if verdict.why else "", LOG_ROWS)
        console.print(Text("\n".join([f"{len(shown)} lines of the log:", *shown]), style="dim"))
        path = logs.keep(lesson.root, lesson.name, verdict.log)
        console.print(Text(f"all {len(rows)} lines: {path.relative_to(lesson.root)}", style="dim"))
    console.print()


def after_done(lesson: Lesson) -> str:
    """The command after a lesson that is done; a track ends with the report."""
    later = Course.load(lesson.root).after(lesson)
    if later is None:
        return "make report"
    if later.track == lesson.track:
        return f"make lesson-{later.number}"
    return f"make report; make lesson-{later.number} begins {TRACKS[later.track].lower()}"


def next_command(view: View, tree: str, watching: bool = False) -> str:
    """What to do now; empty where `watch` goes on by itself."""
    number, result = view.lesson.number, view.open
    if result is None:
        if tree == "solutions":
            return f"make lesson-{number}"
        return "" if watching else f"make run-{number}, then {after_done(view.lesson)}"
    if result.verdict.kind == "lab" or (result.verdict.kind == "skipped" and not result.verdict.place):
        return "make doctor"
    if tree == "solutions":
        return f"{f'read {result.verdict.place}, then ' if result.verdict.place else ''}make solution-{number}"
    place, again = result.verdict.place, " and save it" if watching else f", then make lesson-{number}"
    if place.split(":")[0] == str(view.lesson.tests.relative_to(view.lesson.root)):
        return f"read {place}, fix {result.verdict.code or f'your files in lessons/{view.lesson.name}'}{again}"
    if place:
        return f"edit {place}{again}"
    return f"pytest -c pyproject.toml lessons/{view.lesson.name}"
