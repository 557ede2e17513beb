"""Which step of a lesson is open, and what waits behind it: decided here for both ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def first_open(not_done: Iterable[int | None], known: int | None = None) -> int | None:
    """The first step of which something is not done; `known` is one that was found before."""
    return min((step for step in (known, *not_done) if step is not None), default=None)


def waits(step: int | None, open_step: int | None, holes: Collection[int]) -> bool:
    """Whether a test of `step` has nothing to say: a step before it is open, or its step is an untouched TODO.

    One failing test of a TODO says everything; the others would only wait until their deadlines.
    """
    if step is None or open_step is None:
        return False
    return step > open_step or (step == open_step and step in holes)


def blocked_by(open_step: int) -> str:
    """The words for a test that waits."""
    return f"blocked by step {open_step}"
