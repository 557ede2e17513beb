"""How long a guest wanted a CPU and had none, because the host was busy with something else.

Linux keeps two numbers for each thread: nanoseconds on a CPU, and nanoseconds in which it was ready to run and waited
for one (Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat, Linux 6.12). A guest cannot see the second: to
it the time just passes. So the host reports it, and no deadline counts that time.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What all threads of a process together have had of the CPUs, in seconds since they began."""

    ran_s: float
    waited_s: float
    """Ready to run, and not running."""


def usage(pid: int) -> Usage:
    """Of a running process; zeros where the kernel does not count (CONFIG_SCHED_INFO), or the process is gone."""
    ran = waited = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError):
            running, waiting, _ = map(int, thread.read_text().split())
            ran, waited = ran + running, waited + waiting
    return Usage(ran / 1e9, waited / 1e9)


def starved_s(before: Usage, after: Usage, wall_s: float) -> float:
    """Seconds of the `wall_s` between two looks that did not count for the process.

    Two threads that wait at the same time lose that time once: so at most the share of the time in which those threads
    that wanted a CPU had none.
    """
    ran, waited = max(0.0, after.ran_s - before.ran_s), max(0.0, after.waited_s - before.waited_s)
    if waited == 0:
        return 0.0
    return min(waited, wall_s * waited / (ran + waited))


class Watch:
    """Looks at one process again and again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last, self._when = usage(pid), time.monotonic()

    def __call__(self) -> float:
        """Seconds that did not count for the process since the last call."""
        now, when = usage(self._pid), time.monotonic()
        lost = starved_s(self._last, now, when - self._when)
        self._last, self._when = now, when
        return lost
