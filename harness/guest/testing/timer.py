"""pytest-timeout's timer, on a clock that stands still while the guest has no CPU.

The plug-in asks other plug-ins for a timer first (pytest_timeout_set_timer, pytest_timeout.py 2.4). This one rings at
the moment that was asked for, and goes on if the deadline has moved meanwhile.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import pytest
import pytest_timeout  # type: ignore[import-untyped] # it has no types

from harness.guest.testing.deadline import Deadline

SOONEST_S = 0.05


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Ring when the test has had its time; what pytest-timeout says then is its own."""
    deadline = Deadline(settings.timeout)

    def ring(number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        if (left := deadline.left()) > 0:
            signal.setitimer(signal.ITIMER_REAL, max(left, SOONEST_S))
        else:
            pytest_timeout.timeout_sigalrm(item, settings)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined] # the plug-in calls it at the end of the test
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return True
