"""Which proofs run now: those whose bytes have changed, a random tenth of the others, and what they rest on."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.authoring.ledger import Entry, Ledger, Place
from harness.authoring.proving import SOLUTION, Job

SHARE = 10
"""One in this many of the ledger's proofs is run again, so that a wrong entry does not last."""


@dataclass(frozen=True)
class Plan:
    """What runs, and what does not."""

    jobs: tuple[Job, ...]
    """In their order: a solution's run comes before what rests on it."""
    due: int
    """Of them: changed, new, failed before or flaky."""
    kept: tuple[Entry, ...]
    """In the ledger, and not run now."""
    everything: bool = False
    """All is proven again, and each entry written again."""

    def __str__(self) -> str:
        sampled = len(self.jobs) - self.due
        return f"{self.due} proofs are due, {sampled} are sampled, {len(self.kept)} are kept"


def of_changes(jobs: Sequence[Job], ledgers: Mapping[str, Ledger], place: Place, seed: int) -> Plan:
    """What changed, and a tenth of the rest, chosen by `seed`."""
    known = {id(job): entry for job in jobs if (entry := _entry(job, ledgers, place)) is not None}
    rest = [job for job in jobs if id(job) in known]
    return _plan(jobs, known, {id(job) for job in _sample(rest, random.Random(seed))})


def of_everything(jobs: Sequence[Job], ledgers: Mapping[str, Ledger], place: Place, since: str) -> Plan:
    """Each proof that was not seen since `since`."""
    known = {
        id(job): entry for job in jobs if (entry := _entry(job, ledgers, place)) is not None and entry.when >= since
    }
    return replace(_plan(jobs, known, set()), everything=True)


def _sample(rest: Sequence[Job], drawn: random.Random) -> list[Job]:
    """A tenth, from as few lessons as hold so many: each lesson that takes part costs its solution's run too."""
    lessons = sorted({job.lesson.name for job in rest})
    order = {name: place for place, name in enumerate(drawn.sample(lessons, len(lessons)))}
    shuffled = drawn.sample(rest, len(rest))
    return sorted(shuffled, key=lambda job: order[job.lesson.name])[: -(-len(rest) // SHARE)]


def _entry(job: Job, ledgers: Mapping[str, Ledger], place: Place) -> Entry | None:
    return ledgers[job.lesson.name].proven(job.what, job.digest, place)


def _plan(jobs: Sequence[Job], known: Mapping[int, Entry], chosen: set[int]) -> Plan:
    """With the solution's run of each lesson of which anything runs: a kill counts beside it alone."""
    lessons = {job.lesson.name for job in jobs if id(job) not in known or id(job) in chosen}
    again = chosen | {id(job) for job in jobs if job.what == SOLUTION and job.lesson.name in lessons}
    running = tuple(job for job in jobs if id(job) not in known or id(job) in again)
    kept = tuple(entry for job in jobs if id(job) not in again and (entry := known.get(id(job))))
    return Plan(running, sum(id(job) not in known for job in running), kept)
