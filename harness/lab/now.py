"""The time that a guest is given, and whether this machine slept while the guest ran."""

from __future__ import annotations

import os
import time

from harness.protocol.messages import Settle

NOTICED_S = 0.5


def settling() -> Settle:
    """The time of now, and randomness that no other guest has."""
    return Settle(time_ns=time.time_ns(), entropy=os.urandom(32).hex())


class Sleep:
    """Notices that this machine was suspended: CLOCK_BOOTTIME counts that time (clock_gettime(2))."""

    def __init__(self) -> None:
        self._ahead = _ahead_s()

    def __call__(self) -> float:
        """Seconds of sleep since the last call; 0 for less than NOTICED_S."""
        slept = _ahead_s() - self._ahead
        if slept < NOTICED_S:
            return 0.0
        self._ahead += slept
        return slept


def _ahead_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
