"""The references many times over: the same code must get the same verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.course.catalog import Lesson
from harness.errors import LabError
from harness.lab.guest import Lab
from harness.run import outcome
from harness.run.request import reference


@dataclass(frozen=True)
class Run:
    """One run of one reference; `failure` is empty where it was green."""

    lesson: str
    seconds: float
    failure: str


def repeat(
    lessons: Sequence[Lesson], runs: int, guests: int, new_lab: Callable[[], Lab], say: Callable[[Run], None]
) -> list[Run]:
    """Run each reference `runs` times, `guests` side by side; a fault of the lab is a failure like any other."""
    jobs = [lesson for _ in range(runs) for lesson in lessons]
    done = []
    with ThreadPoolExecutor(guests) as pool:
        for one in pool.map(lambda lesson: once(new_lab(), lesson), jobs):
            say(one)
            done.append(one)
    return done


def once(lab: Lab, lesson: Lesson) -> Run:
    """Run the reference of `lesson` once."""
    begin = time.monotonic()
    try:
        results = outcome.run(lab, reference(lesson))
        bad = [f"{test.name}: {test.verdict}" for test in results.tests.values() if test.verdict.kind != "done"]
        failure = "" if results.green else "; ".join(filter(None, [results.unreadable, *bad])) or "no test ran"
    except LabError as error:
        failure = f"the lab: {error}"
    return Run(lesson.name, time.monotonic() - begin, failure)
