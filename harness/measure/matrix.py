"""Lessons by labs: each reference on each kernel and architecture, as failures / runs, with the reasons.

A run counts as long as the lesson, the harness and the guest's kernel are the same bytes. It is noted as it ends, so a
measurement that was killed goes on, and several can work on different labs at the same time.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.authoring import depends
from harness.course import files
from harness.course.catalog import Lesson
from harness.errors import LabError
from harness.lab import saved
from harness.lab.image import cache
from harness.lab.image.target import Target
from harness.lab.saved import SavedGuest
from harness.lab.virtual import VirtualLab
from harness.learner import progress
from harness.measure import repeat
from harness.protocol import codec
from harness.protocol.frames import WireError
from harness.run import needs

NOTES = "matrix.jsonl"


@dataclass(frozen=True, kw_only=True)
class Note:
    """One run of one reference."""

    lesson: str
    target: str
    kernel: str
    """The guest's release."""
    digest: str
    """Of the lesson and the harness."""
    seconds: float
    failure: str
    """Empty where it was green."""


@dataclass(frozen=True)
class Cell:
    """One lesson in one lab."""

    lesson: str
    target: str
    state: Literal["ran", "skip", "lab"]
    runs: tuple[Note, ...] = ()
    why: str = ""
    """Why it was skipped, or how the lab failed."""

    @property
    def failures(self) -> list[str]:
        return [one.failure for one in self.runs if one.failure]

    def __str__(self) -> str:
        return f"{len(self.failures)}/{len(self.runs)}" if self.state == "ran" else self.state

    def reasons(self) -> list[str]:
        """What is to be said of it, each once."""
        return list(dict.fromkeys(filter(None, [self.why, *self.failures])))


@dataclass
class Matrix:
    """All cells, lesson by lesson, and what is known of each lab."""

    lessons: list[str]
    targets: list[str]
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    labs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 no failure, 1 a reference failed, 3 a lab did."""
        if any(cell.failures for cell in self.cells.values()):
            return 1
        return 3 if any(cell.state == "lab" for cell in self.cells.values()) else 0

    def in_order(self) -> Iterator[Cell]:
        """Row by row."""
        return (self.cells[lesson, target] for lesson in self.lessons for target in self.targets)

    def data(self) -> dict[str, Any]:
        """For --json."""
        cells = [
            {
                "lesson": cell.lesson,
                "lab": cell.target,
                "state": cell.state,
                "runs": len(cell.runs),
                "failures": len(cell.failures),
                "seconds": [one.seconds for one in cell.runs],
                "reasons": cell.reasons(),
            }
            for cell in self.in_order()
        ]
        return {"labs": self.labs, "cells": cells}


def measure(
    root: Path, lessons: Sequence[Lesson], targets: Sequence[Target], runs: int, guests: int, say: Callable[[str], None]
) -> Matrix:
    """Run what is missing, lab after lab, `guests` at a time."""
    found = Matrix([one.name for one in lessons], [str(one) for one in targets])
    notes = _Notes(progress.folder(root) / NOTES)
    for target in targets:
        try:
            guest = saved.ensure(target, say)
        except LabError as error:
            why = " ".join(f"{error}".split())
            found.cells |= {(one.name, str(target)): Cell(one.name, str(target), "lab", why=why) for one in lessons}
            continue
        found.labs[str(target)] = _facts(guest)
        found.cells |= {(cell.lesson, cell.target): cell for cell in _column(guest, lessons, runs, guests, notes, say)}
    return found


def _facts(guest: SavedGuest) -> dict[str, Any]:
    measured = {
        "restore_s": _restore_s(guest),
        "disk_mib": cache.size_bytes(guest.disk.directory) >> 20,
        "state_mib": cache.size_bytes(guest.directory) >> 20,
    }
    return asdict(guest.facts) | measured


def _restore_s(guest: SavedGuest) -> float:
    """Seconds until a restored guest answers, once."""
    begin = time.monotonic()
    with VirtualLab(guest).open():
        return round(time.monotonic() - begin, 2)


def _column(
    guest: SavedGuest, lessons: Sequence[Lesson], runs: int, guests: int, notes: _Notes, say: Callable[[str], None]
) -> Iterator[Cell]:
    """The cells of one lab: first one run of each lesson, then the next."""
    target, lab = str(guest.target), VirtualLab(guest)
    why = {one.name: needs.lacking(lab, one) for one in lessons}
    able = [one for one in lessons if not why[one.name]]
    missing = {one.name: runs - len(notes.of(one, guest)) for one in able}
    jobs = [one for number in range(runs) for one in able if number < missing[one.name]]
    with ThreadPoolExecutor(guests) as pool:
        for number, (lesson, run) in enumerate(zip(jobs, pool.map(partial(_once, guest), jobs), strict=True), 1):
            say(f"{target}: run {number} of {len(jobs)}: {lesson.name}: {run.failure or 'ok'} ({run.seconds:.0f} s)")
            notes.add(lesson, guest, run)
    for one in lessons:
        if why[one.name]:
            yield Cell(one.name, target, "skip", why=why[one.name])
        else:
            yield Cell(one.name, target, "ran", tuple(notes.of(one, guest)[:runs]))


def _once(guest: SavedGuest, lesson: Lesson) -> repeat.Run:
    return repeat.once(VirtualLab(guest), lesson)


class _Notes:
    """The runs so far, one a line in a file of the checkout that git ignores."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes = [note for row in files.read(path).splitlines() if (note := _note(row))] if path.exists() else []

    def of(self, lesson: Lesson, guest: SavedGuest) -> list[Note]:
        """The runs of that lesson in that guest, on these bytes."""
        key = (lesson.name, str(guest.target), guest.facts.kernel, depends.of_lesson(lesson))
        return [one for one in self._notes if (one.lesson, one.target, one.kernel, one.digest) == key]

    def add(self, lesson: Lesson, guest: SavedGuest, run: repeat.Run) -> None:
        """Note a run at once. A row is appended, so that another measurement's are kept."""
        note = Note(
            lesson=lesson.name,
            target=str(guest.target),
            kernel=guest.facts.kernel,
            digest=depends.of_lesson(lesson),
            seconds=round(run.seconds, 1),
            failure=run.failure,
        )
        self._notes.append(note)
        with self._path.open("a") as rows:
            rows.write(json.dumps(codec.plain(note)) + "\n")


def _note(row: bytes) -> Note | None:
    """None for half a row, or one of another version: that run is measured again."""
    with contextlib.suppress(ValueError, TypeError, WireError):
        return codec.build(Note, json.loads(row))
    return None


FACTS = ("kernel", "boot_s", "import_s", "compile_s", "restore_s", "disk_mib", "state_mib")


def show(found: Matrix, console: Console) -> None:
    """The table, what is known of each lab, and the reasons."""
    table = Table(box=None, pad_edge=False)
    for heading in ("failures / runs", *found.targets):
        table.add_column(heading.replace(", ", "\n"))
    for lesson in found.lessons:
        table.add_row(lesson, *(_painted(found.cells[lesson, target]) for target in found.targets))
    table.add_section()
    for fact in FACTS:
        table.add_row(fact, *(Text(str(found.labs.get(target, {}).get(fact, ""))) for target in found.targets))
    console.print(table)
    for cell in found.in_order():
        for why in cell.reasons():
            console.print(Text(f"{cell.lesson} on {cell.target}: {why}"))


def _painted(cell: Cell) -> Text:
    style = "yellow" if cell.state != "ran" else "red" if cell.failures else "green"
    return Text(str(cell), style=style)
