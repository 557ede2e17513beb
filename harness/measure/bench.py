"""How long the lab takes: medians of whole runs, with the raw samples."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.course.catalog import Lesson
from harness.guest.agent.warmup import COMPILE
from harness.lab.guest import Deadlines, Guest, Lab
from harness.lab.machine import Machine
from harness.lab.saved import BOOT_DEADLINE_S, SavedGuest
from harness.lab.virtual import VirtualLab
from harness.protocol.messages import Ready, Run, Started
from harness.run import session
from harness.run.request import of_lesson

TESTS = {
    "restore": "a saved guest answers",
    "first test": "from nothing to the first test of lesson 01 started",
    "in the guest": "lesson 01's reference: from its first test to its last",
    "make solution-01": "the whole command",
    "compile": "one bare BCC compile and load in the guest",
    "cold boot": "lesson 01's reference in a guest that is booted instead of restored",
}


@dataclass(frozen=True)
class Sample:
    """A measure and its samples, in seconds."""

    name: str
    what: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class BootedLab:
    """Boots a guest for each run: what the saved guest spares."""

    def __init__(self, saved: SavedGuest) -> None:
        self._saved = saved
        self.deadlines = Deadlines(saved.facts.compile_s)
        self.lacking, self.on = saved.facts.lacking, ""

    @contextlib.contextmanager
    def open(self) -> Iterator[Guest]:
        disk, initrd = self._saved.disk, self._saved.directory / "initrd"
        with Machine(disk, initrd, self._saved.facts.accelerator) as machine:
            machine.channel.expect(Ready, BOOT_DEADLINE_S)
            yield Guest(machine.channel)

    def prepare(self) -> None:
        """Nothing is ready before it is asked for: that is what is measured."""

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        """Nothing is begun ahead."""

    def close(self) -> None:
        """Nothing waits."""


def measure(saved: SavedGuest, lesson: Lesson, runs: int, say: Callable[[str], None]) -> list[Sample]:
    """All measures, `runs` samples of each, one round after the other so that all meet the same drift."""
    seconds: dict[str, list[float]] = {name: [] for name in TESTS}
    for number in range(1, runs + 1):
        say(f"round {number} of {runs}")
        for name, value in _round(saved, lesson).items():
            seconds[name].append(value)
    return [Sample(name, what, tuple(seconds[name])) for name, what in TESTS.items()]


def _round(saved: SavedGuest, lesson: Lesson) -> dict[str, float]:
    found = {}
    lab = VirtualLab(saved)
    begin = time.monotonic()
    with lab.open() as guest:
        found["restore"] = time.monotonic() - begin
        guest.put({Path("/tmp/compile.py"): COMPILE.encode()})
        done = guest.run(["python3", "/tmp/compile.py"], timeout_s=120)
        assert done.status == 0, done.err
        found["compile"] = float(done.out)
    found["first test"], found["in the guest"] = _lesson(VirtualLab(saved), lesson)
    found["cold boot"] = sum(_lesson(BootedLab(saved), lesson))
    begin = time.monotonic()
    made = subprocess.run(
        ["make", f"solution-{lesson.number}"], cwd=lesson.root, capture_output=True, env=os.environ | {"MAKEFLAGS": ""}
    )
    found["make solution-01"] = time.monotonic() - begin
    assert made.returncode == 0, made.stdout.decode()
    return found


def _lesson(lab: Lab, lesson: Lesson) -> tuple[float, float]:
    """Seconds until the first test of the reference starts, and from then to the end."""
    begin = time.monotonic()
    first = begin
    for event in session.run(lab, of_lesson(lesson, "solutions")):
        if isinstance(event, Started) and first == begin:
            first = time.monotonic()
    return first - begin, time.monotonic() - first
