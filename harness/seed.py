"""What a run's random names and numbers come from, where the user gave none; it is printed, and `--seed` replays it."""

from __future__ import annotations

import random


def new() -> int:
    """A number from 1 to 999,999."""
    return random.SystemRandom().randrange(1, 1_000_000)
