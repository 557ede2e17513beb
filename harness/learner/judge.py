"""Judges the learner's test: it must assert something and pass on the reference, twice, and catch its step's mutant."""

from __future__ import annotations

import ast
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

import harness
from harness.course import files, mutants, specification
from harness.course.catalog import Lesson, Step
from harness.course.mutants import Mutant
from harness.errors import LabError, UsageError
from harness.lab.guest import Lab
from harness.lab.shared import SharedLab
from harness.learner import progress
from harness.protocol.names import LEARNERS_TEST, function_of
from harness.run import outcome, payload
from harness.run.request import of_lesson

REFERENCE_RUNS = 2
ABSENT = "an entry that is not there has to make the assertion fail: dict.get(key, 0) returns 0 for it"
ASKED = ("-o", "enable_assertion_pass_hook=true")
"""The guest's pytest notes each assertion that holds."""


@dataclass(frozen=True)
class Judgement:
    """What the learner's test did."""

    passes: bool
    """On the reference, in each of REFERENCE_RUNS runs."""
    catches: bool
    """It fails by its own assertion on the mutants that decide."""
    why_not: str
    """The test's own words where it does not pass, or what it missed."""
    caught: tuple[Mutant, ...] = ()
    missed: tuple[Mutant, ...] = ()
    place: str = ""
    """file:line of where it fails on the reference or breaks on a wrong answer, or of a test that asserted nothing."""
    asserts: bool = True
    """At least one assertion ran on the reference, in each test."""
    never_ran: tuple[int, ...] = ()
    """Lines of assertions that never ran on the reference."""
    left: int = 0
    """Wrong answers that it has not been tried on; they count, and decide nothing."""

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
    hear: Callable[[Judgement], None] = lambda _: None,
) -> Judgement:
    """Judge the text of a test_mine.py for `step`; with `score` against the lesson's other mutants too.

    `hear` gets what is known as soon as it is decided, and again after each further mutant.

    `runs` on the reference are due: the author's check has seen one already. What decides has a separate guest each
    time; the others, which only count, follow one another in one.
    """
    path = lesson.folder() / LEARNERS_TEST

    def run(lab: Lab, replaced: dict[Path, bytes], options: tuple[str, ...] = ()) -> outcome.Results:
        asked = of_lesson(lesson, "solutions", tests=(path,), replaced=replaced | {path: mine}, options=options)
        results = outcome.run(lab, asked)
        for test in results.tests.values():
            if test.verdict.kind == "lab":
                raise LabError(str(test.verdict))
        return results

    known = mutants.load(lesson)
    decisive = mutants.decisive(known, step)
    if not any(mutant.name == step.mutant for mutant in decisive):
        raise UsageError(f"{lesson.mutants}: there is no mutant {step.mutant!r}, which step {step.number} names")
    tried = decisive + [mutant for mutant in known if score and mutant not in decisive]
    begin, total, done, ran = time.monotonic(), runs + len(tried), 0, set[int]()
    known_by_now = ""

    def tell(what: str) -> None:
        say(f"your test on {what}{wait(done, total - done, time.monotonic() - begin)}{known_by_now}")

    for number in range(1, runs + 1):
        tell(f"the reference solution (run {number} of {runs})")
        results = run(lab, {}, ASKED)
        if not results.green:
            return _fails(results)
        if (idle := _asserted_nothing(results)) is not None:
            return _cannot_fail(idle, mine, path.relative_to(lesson.root))
        ran |= {line for test in results.tests.values() for line in test.asserted or ()}
        done += 1
    never = tuple(sorted({node.lineno for node in _assertions(mine)} - ran))
    found = Judgement(True, True, "", never_ran=never)
    with SharedLab(lab) as shared:
        for number, mutant in enumerate(tried):
            tell(f"wrong answer {number + 1} of {len(tried)}")
            results = run(shared if number else lab, mutants.apply(mutant, lesson))
            found = replace(_with(found, mutant, mutant in decisive, results), left=len(tried) - number - 1)
            done += 1
            if not found.catches or number + 1 >= len(decisive):
                known_by_now = f"; {_decision(found)}"
                hear(found)
    return found


def _with(found: Judgement, mutant: Mutant, decides: bool, results: outcome.Results) -> Judgement:
    """The judgement with one more mutant, on which the test did what `results` say."""
    if any(test.failed_by_assertion for test in results.tests.values()):
        return replace(found, caught=(*found.caught, mutant))
    found = replace(found, missed=(*found.missed, mutant))
    if not (decides and found.catches):
        return found
    raised = next((test.verdict.place for test in results.tests.values() if not test.done), "")
    return replace(found, catches=False, why_not=_why_not(results, mutant), place=raised)


def _decision(found: Judgement) -> str:
    """What is decided, in few words."""
    return "it catches the wrong answer of its step" if found.catches else "it is not good enough yet"


def early(found: Judgement) -> str:
    """The line for what is decided while wrong answers are left to try; empty where none is."""
    if not found.left:
        return ""
    why = "" if found.catches else f": {found.why_not}"
    more = f"{found.left} more wrong answer{'s' * (found.left != 1)}"
    return f"your test: {_decision(found)}{why}\n{more} only count{'s' * (found.left == 1)}; Ctrl-C stops here"


def wait(done: int, left: int, seconds: float) -> str:
    """About how long `left` runs take, where `done` took `seconds`; empty where that is not known."""
    due = seconds / done * left if done else 0
    if not due:
        return ""
    return f", about {math.ceil(due / 10) * 10} s left" if due < 90 else f", about {round(due / 60)} min left"


def _assertions(mine: bytes) -> list[ast.Assert]:
    tree = specification.parse(mine)
    return [node for node in ast.walk(tree) if isinstance(node, ast.Assert)] if tree else []


def _asserted_nothing(results: outcome.Results) -> str | None:
    """The first test function in none of whose cases an assertion ran; None where that was not reported."""
    held: dict[str, set[int]] = {}
    for test in results.tests.values():
        if test.asserted is not None:
            held.setdefault(function_of(test.name), set()).update(test.asserted)
    return next((name for name, lines in held.items() if not lines), None)


def _cannot_fail(name: str, mine: bytes, file: Path) -> Judgement:
    """What is said of a test that asserted nothing."""
    found = (one for one in specification.functions(mine) if one.name == name)
    line = next((f":{one.line}" for one in found), "")
    words = (
        f"{name} asserted nothing on the reference solution: no assertion in it ran.\n"
        "One under an `if`, or in a loop over nothing, checks nothing: assert first that there is something to check."
    )
    return Judgement(True, False, words, place=f"{file}{line}", asserts=False)


def _fails(results: outcome.Results) -> Judgement:
    """What is said of a test that does not pass on the reference."""
    failed = [test.verdict for test in results.tests.values() if not test.done]
    if results.unreadable or not failed:
        return Judgement(False, False, results.unreadable or "test_mine.py holds no test")
    words = "\n".join([f"on the reference solution, your test fails: {failed[0].text}", *map(str, failed[1:])])
    return Judgement(False, False, words, place=failed[0].place)


def _why_not(results: outcome.Results, named: Mutant) -> str:
    """What the test did on the wrong answer in place of failing by its own assertion."""
    if results.unreadable:
        return f"on a wrong answer it cannot be read: {results.unreadable}"
    broken = next((test for test in results.tests.values() if not test.done), None)
    if broken:
        words = f"on a wrong answer it raises an error instead of failing its assertion: {_raised(broken)}"
        absent = f"\n{ABSENT}" if broken.exception == "KeyError" else ""
        return f"{words}\nthe wrong answer: {named.misconception}{absent}"
    return f"it lets a wrong answer pass: {named.misconception}"


def _raised(test: outcome.TestResult) -> str:
    """What a test raised, with its class once."""
    text = test.verdict.text
    return text if text.startswith(test.exception) else f"{test.exception}: {text}"


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

    Wrong answers to steps after `reached`, the one that the learner works on, are only counted.
    """

    def line(ok: bool, text: str) -> None:
        console.print(Text(f"  {'✔' if ok else '✘'} {text}", style="green" if ok else "red"))

    console.print(Text(f"Lesson {lesson.number} · step {step.number} · {step.title}", style="bold"))
    passes = f"passes on the reference, {REFERENCE_RUNS} times" if found.passes else "fails on the reference"
    line(found.passes and found.asserts, passes if found.asserts else "asserts nothing on the reference")
    if found.passes and found.asserts:
        line(found.catches, f"catches the wrong answer of its step ({step.mutant})")
        untried = f", {found.left} not tried" if found.left else ""
        console.print(Text(f"  score {found.score} wrong answers caught{untried}; one test need not catch them all"))
    near = _due(lesson, step, found, reached)
    for mutant in near:
        console.print(Text(f"    missed: {mutant.misconception}"))
    if left := len(found.missed) - len(near):
        console.print(Text(f"    missed: {left} for later steps, listed when you reach them"))
    for number in found.never_ran:
        console.print(Text(f"    {LEARNERS_TEST}:{number}: this assertion never ran on the reference", style="yellow"))
    if not found.catches:
        said = ": ".join(filter(None, [found.place, found.why_not]))
        console.print(Text("    " + said.replace("\n", "\n    ")))
        console.print(Text(f"next: edit lessons/{lesson.name}/{LEARNERS_TEST}, then workbook judge {lesson.number}"))
    else:
        console.print(Text(f"next: make lesson-{lesson.number}"))


def _due(lesson: Lesson, step: Step, found: Judgement, reached: int) -> list[Mutant]:
    """The missed wrong answers to steps up to `reached`, the one that the learner works on."""
    last, steps = max(reached, step.number + 1), mutants.steps_of_tests(lesson)
    return [mutant for mutant in found.missed if steps.get(mutant.killed_by, 0) <= last]


def as_data(lesson: Lesson, steps: list[Step], found: list[Judgement], reached: int) -> list[dict[str, object]]:
    """The judgements, as JSON has them."""
    near = [_due(lesson, step, one, reached) for step, one in zip(steps, found, strict=True)]
    return [
        {
            "number": step.number,
            "mutant": step.mutant,
            "passes": one.passes,
            "catches": one.catches,
            "asserts": one.asserts,
            "never_ran": list(one.never_ran),
            "why_not": one.why_not,
            "score": one.score,
            "caught": [mutant.name for mutant in one.caught],
            "missed": {mutant.name: mutant.misconception for mutant in due},
            "missed_later": len(one.missed) - len(due),
            "untried": one.left,
        }
        for step, one, due in zip(steps, found, near, strict=True)
    ]
