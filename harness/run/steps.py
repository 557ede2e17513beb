"""Which step of a lesson is open, what waits, what was reached: from results, TODOs and earlier checks."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.course.catalog import Step
from harness.protocol import open_step
from harness.run.outcome import StepResult
from harness.run.verdict import Verdict

DONE_BEFORE = Verdict("blocked", text="done before")
"""A step that was done until a program was refused, and that cannot be looked at until it loads again."""


def open_of(results: Sequence[StepResult]) -> StepResult | None:
    """The first step that is not done, rather one that waits for no other; None when all are done."""
    speaking = [one for one in results if one.verdict.kind not in ("done", "blocked")]
    number = open_step.first_open(one.step.number for one in speaking or results if one.verdict.kind != "done")
    return next((one for one in results if one.step.number == number), None)


def reached(results: Sequence[StepResult]) -> int:
    """How many steps, from the first, are done, or were until a program was refused."""
    stays = itertools.takewhile(lambda one: one.verdict.kind == "done" or one.verdict is DONE_BEFORE, results)
    return sum(1 for _ in stays)


def waiting(result: StepResult, blocking: StepResult) -> StepResult:
    """The step, waiting for another."""
    return StepResult(result.step, Verdict("blocked", text=open_step.blocked_by(blocking.step.number)), 0, result.total)


def worked_on(steps: Sequence[Step], holes: Collection[int], before: int) -> Step | None:
    """The step after the `before` that were done, or an earlier one whose TODO is untouched; None after all."""
    number = open_step.first_open([*holes, *(step.number for step in steps[before : before + 1])])
    return next((step for step in steps if step.number == number), None)


def at_the_step_reached(results: list[StepResult], holes: Collection[int], before: int) -> list[StepResult]:
    """A refused program fails the first test already: show it at the step that the learner works on.

    `before` steps were done at the last check. Own tests hold nothing that a compiler or the kernel could refuse.
    """
    found = worked_on([one.step for one in results], holes, before)
    at = next((index for index, one in enumerate(results) if one.step == found), len(results) - 1)
    while at > 0 and results[at].step.mutant:
        at -= 1
    in_code = (index for index, one in enumerate(results) if not one.step.mutant and one.verdict.kind != "done")
    first = next(in_code, at)
    if first >= at or results[first].verdict.kind != "broken":
        return results
    done = [replace(one, verdict=DONE_BEFORE, passed=0) for one in results[first:at]]
    return [*results[:first], *done, replace(results[at], verdict=results[first].verdict, passed=0), *results[at + 1 :]]
