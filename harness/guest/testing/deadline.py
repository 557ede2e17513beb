"""Deadlines that stand still while the host has no CPU for the guest: a busy host makes a test slower, not red.

The host tells the agent how long that was; the agent writes it into a page of memory that all runs share, since each is
a fork of the agent.
"""

from __future__ import annotations

import mmap
import struct
import time

GRACE_S = 2
"""The host tells once in a second; what it has to tell may be under way when a deadline passes."""
_SECONDS = struct.Struct("d")
_page = mmap.mmap(-1, mmap.PAGESIZE)


def note_starved(seconds: float) -> None:
    """The guest had no CPU for so long, beyond what was noted before. Called by the agent alone."""
    _SECONDS.pack_into(_page, 0, starved_s() + max(0.0, seconds))


def starved_s() -> float:
    """Seconds without a CPU, all told."""
    found: float = _SECONDS.unpack_from(_page, 0)[0]
    return found


class Deadline:
    """A moment by which something must have happened."""

    def __init__(self, seconds: float) -> None:
        """`seconds` from now."""
        self._end = time.monotonic() + seconds - starved_s()
        self._over: float | None = None

    def left(self) -> float:
        """Seconds until then, 0 when it has passed; with each second without a CPU it comes a second later."""
        now = time.monotonic()
        if (left := self._end + starved_s() - now) > 0:
            self._over = None
            return left
        if self._over is None:
            self._over = now + GRACE_S
        return max(0.0, self._over - now)
