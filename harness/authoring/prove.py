"""Proves what is due and writes the ledger, one proof at a time, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.authoring import depends, ledger, plan, proving
from harness.authoring.ledger import Entry, Ledger, Place, Whole
from harness.authoring.parts import Finding
from harness.authoring.plan import Plan
from harness.authoring.proving import Job
from harness.course import files
from harness.course.catalog import Course, Lesson
from harness.lab.guest import Lab
from harness.learner import progress

MARK = "proving.json"
RACES = b"provoke"
"""The fixture of harness.guest.testing.fixtures."""


@dataclass(frozen=True)
class Proof:
    """What is to be proven, and where the results go."""

    course: Course
    place: Place
    jobs: tuple[Job, ...]
    ledgers: dict[str, Ledger]

    @classmethod
    def of(cls, course: Course, chosen: Sequence[Lesson], place: Place) -> Proof:
        """All proofs of the chosen lessons."""
        jobs = tuple(job for lesson in chosen for job in proving.jobs_of(lesson))
        return cls(course, place, jobs, {lesson.name: Ledger.load(lesson) for lesson in chosen})

    @property
    def is_whole(self) -> bool:
        return {job.lesson.name for job in self.jobs} == {lesson.name for lesson in self.course}

    def changes(self, seed: int) -> Plan:
        """What changed, and a random tenth of the rest."""
        return plan.of_changes(self.jobs, self.ledgers, self.place, seed)

    def everything(self) -> Plan:
        """All, but what a run that was killed has proven already."""
        return plan.of_everything(self.jobs, self.ledgers, self.place, self._begun())

    def run(
        self, chosen: Plan, new_lab: Callable[[], Lab], guests: int, say: Callable[[Finding], None]
    ) -> list[Finding]:
        """Run the plan's jobs; each result is in the ledger when it is said. A fault of the lab is no result.

        A sample that passes again changes no entry. Lessons that provoke a race come last, one guest at a time.
        """

        def note(job: Job, finding: Finding) -> None:
            mine = self.ledgers[job.lesson.name]
            confirms = finding.ok and not chosen.everything and mine.proven(job.what, job.digest, self.place)
            if not finding.lab and not confirms:
                mine.note(self._entry(job, finding), finding.detail)
            say(finding)

        found = []
        for alone, at_a_time in ((False, guests), (True, 1)):
            jobs = [job for job in chosen.jobs if _provokes(job.lesson) == alone]
            found += proving.run_jobs(jobs, new_lab, at_a_time, note) if jobs else []
        for name, one in self.ledgers.items():
            one.forget({job.what for job in self.jobs if job.lesson.name == name}, self.place)
        return found

    def end(self) -> None:
        """Everything was proven: remember that, if it was all lessons, and that no run is to go on."""
        self._mark.unlink(missing_ok=True)
        if self.is_whole:
            done = Whole(harness=depends.of_harness(), kernel=self.place.kernel, arch=self.place.arch, when=_now())
            ledger.note_whole(self.course.root, done)

    @property
    def whole_is_old(self) -> bool:
        """Whether the harness has changed since all was proven in one go, in this place."""
        here = [one for one in ledger.whole(self.course.root) if Place(one.kernel, one.arch) == self.place]
        return not any(one.harness == depends.of_harness() for one in here)

    @property
    def _mark(self) -> Path:
        return progress.folder(self.course.root) / MARK

    def _begun(self) -> str:
        """When the run that is going on began: now, unless one was killed that had the same to prove."""
        same = {
            "digests": sorted(job.digest for job in self.jobs),
            "kernel": self.place.kernel,
            "arch": self.place.arch,
        }
        try:
            mark = json.loads(files.read(self._mark)) if files.exists(self._mark) else {}
        except ValueError:
            mark = {}
        if isinstance(mark, dict) and mark.get("same") == same and isinstance(mark.get("begun"), str):
            return str(mark["begun"])
        begun = _now()
        files.write(self._mark, json.dumps({"begun": begun, "same": same}).encode())
        return begun

    def _entry(self, job: Job, finding: Finding) -> Entry:
        return Entry(
            proof=job.what, digest=job.digest, kernel=self.place.kernel, arch=self.place.arch, when=_now(),
            seconds=round(finding.seconds, 1), passed=finding.ok,
        )  # fmt: skip


def _provokes(lesson: Lesson) -> bool:
    """Whether a test of the lesson waits until a race was lost: beside another guest its CPUs seldom run together."""
    return files.exists(lesson.tests) and RACES in files.read(lesson.tests)


def _now() -> str:
    """Fine enough that a run's first proof is not older than the run."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
