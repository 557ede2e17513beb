"""The learner's code and the reference under the same tests: verdicts, and what each costs the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.course.catalog import Lesson
from harness.errors import LabError
from harness.lab.guest import Lab
from harness.protocol.facts import Measured
from harness.run import outcome
from harness.run.outcome import StepResult
from harness.run.request import of_lesson

INSTRUCTION = 8
"""Bytes (struct bpf_insn)."""
ROWS = (
    ("xlated", "instructions", "the program as the kernel holds it, after the verifier rewrote it"),
    ("jited", "machine code (bytes)", "what the CPU runs, made from those instructions"),
    ("verified", "instructions walked", "by the verifier, on all paths together; it gives up at a million"),
    ("stack", "stack (bytes)", "local variables; 512 bytes is the limit"),
    ("map_bytes", "map memory (bytes)", "kernel memory of all the maps that the program uses"),
    ("events", "runs", "in all tests, for all processes; a test that repeats until a race occurs can multiply it"),
)
"""Field, title, what it means. No time: under emulation two runs of one program differ more than two programs."""
LOST = ("lost", "events lost", "sent by the kernel, dropped before Python read them; some tests provoke that")


@dataclass(frozen=True)
class Cost:
    """One program; of several loads of the same name the sum of the runs, and the largest of the rest."""

    name: str
    xlated: int
    """Instructions that the kernel holds, after its verifier rewrote them."""
    jited: int
    """Bytes of machine code."""
    verified: int
    """Instructions that the verifier walked, each path counted."""
    stack: int | None
    """Bytes, or None where the verifier did not say."""
    map_bytes: int
    """Memory of the maps that it uses."""
    events: int
    """Runs in all tests."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    steps: list[StepResult]
    costs: list[Cost]
    lost: int
    """Events that found no room in a perf buffer."""
    unreadable: str = ""


def compare(lab: Lab, lesson: Lesson, seed: int, say: Callable[[str], None]) -> tuple[Side, Side]:
    """The learner's side and the reference's, each in a fresh guest; LabError where the lab cannot."""

    def run(tree: str) -> Side:
        say("your code (1 of 2)" if tree == "lessons" else "the reference (2 of 2)")
        results = outcome.run(lab, of_lesson(lesson, tree, tests=(lesson.tests,), seed=seed, measure=True))
        for test in results.tests.values():
            if test.verdict.kind == "lab":
                raise LabError(str(test.verdict))
        measured = [test.measured for test in results.tests.values() if test.measured]
        steps = [one for one in outcome.by_step(lesson, results) if not one.step.mutant]
        return Side(steps, costs(measured), max((one.lost for one in measured), default=0), results.unreadable)

    return run("lessons"), run("solutions")


def costs(measured: Iterable[Measured]) -> list[Cost]:
    """The numbers of all tests, put together by program; in the order in which they were loaded."""
    last: dict[int, Cost] = {}
    for one in measured:
        sizes = {found.id: found.bytes for found in one.maps}
        for program in one.programs:
            last[program.id] = Cost(
                name=program.name,
                xlated=program.xlated // INSTRUCTION,
                jited=program.jited,
                verified=program.verified,
                stack=program.stack,
                map_bytes=sum(sizes.get(number, 0) for number in program.maps),
                events=program.runs,
            )
    merged: dict[str, Cost] = {}
    for cost in last.values():
        merged[cost.name] = _both(merged[cost.name], cost) if cost.name in merged else cost
    return list(merged.values())


def _both(one: Cost, other: Cost) -> Cost:
    largest: dict[str, Any] = {
        name: max(getattr(one, name) or 0, getattr(other, name) or 0)
        for name in ("xlated", "jited", "verified", "stack", "map_bytes")
    }
    return replace(one, events=one.events + other.events, **largest)


def show(lesson: Lesson, mine: Side, reference: Side, console: Console) -> None:
    """Print both side by side."""
    table = Table(box=None, pad_edge=False, title=f"Lesson {lesson.number} · {lesson.title}", title_justify="left")
    table.add_column("")
    for heading in ("yours", "reference"):
        table.add_column(heading, justify="right")
    for number, group in enumerate(groups(mine, reference)):
        if number:
            table.add_row("")
        if group.title:
            table.add_row(Text(group.title, style="bold"))
        for name, *cells in group.rows:
            row = Text(f"  {name}" if group.title else name)
            table.add_row(row, *(Text(one, style=_style(one) if group.verdicts else "") for one in cells))
    console.print(table)
    if out := [str(step.number) for step in lesson.steps if step.mutant]:
        steps = f"step{'s' if len(out) > 1 else ''} {' and '.join(out)}"
        console.print(Text(f"left out: {steps}, your test: workbook judge {lesson.number}"))
    console.print()
    for _, title, meaning in (*ROWS, LOST):
        console.print(Text(f"  {title}: {meaning}", style="dim"))
    if mine.unreadable:
        console.print(Text(mine.unreadable))


@dataclass(frozen=True)
class Group:
    """Rows that belong together: what each is about, the learner's cell, the reference's."""

    title: str
    """The program; empty for what is not of one."""
    rows: list[tuple[str, ...]]
    verdicts: bool = False
    """The cells are verdicts."""


def groups(mine: Side, reference: Side) -> list[Group]:
    """The table: the verdicts, each program's costs, the events that were lost."""
    steps: list[tuple[str, ...]] = [
        (f"step {number}  {title}", *cells) for number, title, *cells in _verdicts(mine, reference)
    ]
    found = [Group("", steps, verdicts=True)]
    for name in dict.fromkeys(cost.name for side in (reference, mine) for cost in side.costs):
        both = [next((cost for cost in side.costs if cost.name == name), None) for side in (mine, reference)]
        found.append(
            Group(name, [(title, *(_number(getattr(one, field, None)) for one in both)) for field, title, _ in ROWS])
        )
    return [*found, Group("", [(LOST[1], _number(mine.lost), _number(reference.lost))])]


def _verdicts(mine: Side, reference: Side) -> Iterable[tuple[int, str, str, str]]:
    left = {one.step.number: one for one in mine.steps}
    right = {one.step.number: one for one in reference.steps}
    for number in sorted(left | right):
        step = (right.get(number) or left[number]).step
        yield number, step.title, _verdict(left.get(number)), _verdict(right.get(number))


def _verdict(one: StepResult | None) -> str:
    return f"{one.verdict.kind} {one.passed}/{one.total}" if one else "-"


def _style(verdict: str) -> str:
    return {"done": "green", "todo": "yellow", "blocked": "dim"}.get(verdict.split()[0], "red")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{round(value):,}".replace(",", "\N{THIN SPACE}") if value >= 10_000 else f"{round(value)}"


def data(side: Side) -> dict[str, Any]:
    """One side, as JSON has it."""
    return {
        "steps": [
            {"number": one.step.number, "verdict": one.verdict.kind, "passed": one.passed, "total": one.total}
            for one in side.steps
        ],
        "programs": [asdict(cost) for cost in side.costs],
        "lost": side.lost,
        "unreadable": side.unreadable,
    }


def done(sides: Sequence[Side]) -> bool:
    """Whether each step of each side is done."""
    return all(one.verdict.kind == "done" for side in sides for one in side.steps) and not any(
        side.unreadable for side in sides
    )
