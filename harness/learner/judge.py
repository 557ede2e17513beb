"""Is the learner's own test any good: it must pass on the reference, twice, and catch the mutant of its step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

import harness
from harness.course import files, mutants
from harness.course.catalog import Lesson, Step
from harness.course.mutants import Mutant
from harness.errors import LabError, UsageError
from harness.lab.guest import Lab
from harness.lab.shared import SharedLab
from harness.learner import progress
from harness.protocol.names import LEARNERS_TEST
from harness.run import outcome, payload
from harness.run.request import of_lesson

REFERENCE_RUNS = 2
ASKED = ("-o", "enable_assertion_pass_hook=true")
"""The guest's pytest notes each assertion that holds."""


@dataclass(frozen=True)
class Judgement:
    """What the learner's test did."""

    passes: bool
    """On the reference, in each of REFERENCE_RUNS runs."""
    catches: bool
    """It fails by its own assertion on the mutant of its step."""
    why_not: str
    """The test's own words where it does not pass, or what it missed."""
    caught: tuple[Mutant, ...] = ()
    missed: tuple[Mutant, ...] = ()
    place: str = ""
    """file:line of where it fails on the reference."""

    @property
    def score(self) -> str:
        """Wrong answers caught, of all that it was tried on."""
        return f"{len(self.caught)}/{len(self.caught) + len(self.missed)}"


def own_steps(lesson: Lesson) -> list[Step]:
    """The steps that are a test of the learner's own."""
    return [step for step in lesson.steps if step.mutant]


def own_test(lesson: Lesson, tree: str) -> bytes:
    """The text of the test_mine.py in `tree`."""
    return files.read(payload.folder_of(lesson, tree) / LEARNERS_TEST)


def judge(
    lab: Lab,
    lesson: Lesson,
    step: Step,
    mine: bytes,
    *,
    score: bool = False,
    runs: int = REFERENCE_RUNS,
    say: Callable[[str], None] = lambda _: None,
) -> Judgement:
    """Judge the text of a test_mine.py for `step`; with `score` against the lesson's other mutants too.

    `runs` on the reference are due: the author's check has seen one already. What decides has a guest of its own each
    time; the others, which only count, follow one another in one.
    """
    path = lesson.folder() / LEARNERS_TEST

    def run(lab: Lab, replaced: dict[Path, bytes]) -> outcome.Results:
        results = outcome.run(lab, of_lesson(lesson, "solutions", tests=(path,), replaced=replaced | {path: mine}))
        for test in results.tests.values():
            if test.verdict.kind == "lab":
                raise LabError(str(test.verdict))
        return results

    known = mutants.load(lesson)
    named = next((mutant for mutant in known if mutant.name == step.mutant), None)
    if named is None:
        raise UsageError(f"{lesson.mutants}: there is no mutant {step.mutant!r}, which step {step.number} names")
    for number in range(1, runs + 1):
        say(f"your test on the reference ({number} of {runs})")
        results = run(lab, {})
        if not results.green:
            return _fails(results)
    caught: list[Mutant] = []
    missed: list[Mutant] = []
    why_not = ""
    others = [mutant for mutant in known if score and mutant != named]
    with SharedLab(lab) as shared:
        for number, mutant in enumerate([named, *others]):
            say(f"your test on wrong answer {number + 1} of {1 + len(others)}: {mutant.misconception}")
            results = run(shared if number else lab, mutants.apply(mutant, lesson))
            failed_itself = any(t.failed_by_assertion and not t.timed_out for t in results.tests.values())
            (caught if failed_itself else missed).append(mutant)
            if mutant is named and not failed_itself:
                why_not = _why_not(results, named)
    return Judgement(True, named in caught, why_not, tuple(caught), tuple(missed))


def _fails(results: outcome.Results) -> Judgement:
    """What is said of a test that does not pass on the reference."""
    failed = [test.verdict for test in results.tests.values() if not test.done]
    if results.unreadable or not failed:
        return Judgement(False, False, results.unreadable or "test_mine.py holds no test")
    words = "\n".join([failed[0].text, *map(str, failed[1:])])
    return Judgement(False, False, words, place=failed[0].place)


def _why_not(results: outcome.Results, named: Mutant) -> str:
    """What the test did on the wrong answer in place of failing by its own assertion."""
    if results.unreadable:
        return f"on a wrong answer it cannot be read: {results.unreadable}"
    broken = next((test for test in results.tests.values() if not test.done), None)
    if broken:
        return f"on a wrong answer it breaks, where its own assertion should fail: {broken.exception}, {broken.verdict}"
    return f"it lets a wrong answer pass: {named.misconception}"


def once(
    lab: Lab, lesson: Lesson, step: Step, mine: bytes, *, say: Callable[[str], None] = lambda _: None
) -> Judgement:
    """As `judge` above, without a score; a test that was good stays good until it, or what judged it, has changed."""
    content = _content(lesson, step, mine)
    if progress.standing(lesson).judged.get(step.number) == content:
        return Judgement(True, True, "")
    found = judge(lab, lesson, step, mine, say=say)
    if found.catches:
        progress.note_judged(lesson, step.number, content)
    return found


def _content(lesson: Lesson, step: Step, mine: bytes) -> str:
    """A digest of all that the judgement of `mine` rests on: never the learner's own code."""
    seen = payload.of_folder(lesson.folder()) | payload.of_folder(lesson.folder("solutions"))
    seen |= payload.of_paths([Path(harness.__file__).parent])
    own = {lesson.folder() / name for name in lesson.edited}
    digest = hashlib.sha256(repr(step).encode())
    seen |= {lesson.mutants: lesson.mutants.read_bytes() if lesson.mutants.exists() else b"", Path("mine"): mine}
    for path, content in seen.items():
        if path not in own:
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def show(lesson: Lesson, step: Step, found: Judgement, console: Console, reached: int) -> None:
    """Print what the test did on the reference and on the wrong answers, and the next command.

    Wrong answers to steps behind `reached`, the one that the learner works on, are only counted.
    """

    def line(ok: bool, text: str) -> None:
        console.print(Text(f"  {'✔' if ok else '✘'} {text}", style="green" if ok else "red"))

    console.print(Text(f"Lesson {lesson.number} · step {step.number} · {step.title}", style="bold"))
    line(found.passes, f"passes on the reference, {REFERENCE_RUNS} times" if found.passes else "fails on the reference")
    if found.passes:
        line(found.catches, f"catches the wrong answer of its step ({step.mutant})")
        console.print(Text(f"  score {found.score} wrong answers caught; one test need not catch them all"))
    last, steps = max(reached, step.number + 1), mutants.steps_of_tests(lesson)
    near = [mutant for mutant in found.missed if steps.get(mutant.killed_by, 0) <= last]
    for mutant in near:
        console.print(Text(f"    missed: {mutant.misconception}"))
    if left := len(found.missed) - len(near):
        console.print(Text(f"    missed: {left} of later steps, named once you are there"))
    if not found.catches:
        said = ": ".join(filter(None, [found.place, found.why_not]))
        console.print(Text("    " + said.replace("\n", "\n    ")))
        console.print(Text(f"next: edit lessons/{lesson.name}/{LEARNERS_TEST}, then workbook judge {lesson.number}"))
    else:
        console.print(Text(f"next: make lesson-{lesson.number}"))


def as_data(steps: list[Step], found: list[Judgement]) -> list[dict[str, object]]:
    """The judgements, as JSON has them."""
    return [
        {
            "number": step.number,
            "mutant": step.mutant,
            "passes": one.passes,
            "catches": one.catches,
            "why_not": one.why_not,
            "score": one.score,
            "caught": [mutant.name for mutant in one.caught],
            "missed": {mutant.name: mutant.misconception for mutant in one.missed},
        }
        for step, one in zip(steps, found, strict=True)
    ]
