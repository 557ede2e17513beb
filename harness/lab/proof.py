"""Whether an accelerator does what the lab needs: a saved guest is restored, has the time, keeps it, and compiles.

A kernel that boots is not enough. Each part has a deadline, of which a guest in KVM takes a tenth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from harness.errors import GuestLost
from harness.lab.guest import Guest
from harness.lab.machine import Machine
from harness.lab.now import settling
from harness.protocol.messages import Settled, Warm, Warmed

T = TypeVar("T")
RESTORE_S = 20
CLOCK_S = 20
COMPILE_S = 60
WRONG_S = 1.0
"""The guest's clock may differ by that, and be off by a tenth after a while."""

Note = Callable[[str, float], None]
"""Hears each part and the seconds that it took."""


def prove(restore: Callable[[], Machine], note: Note = lambda part, seconds: None) -> None:
    """Use the guest that `restore` gives; GuestLost says which part failed."""
    begin = time.monotonic()
    with restore() as machine:
        machine.channel.request(settling())
        _expect(machine, Settled, RESTORE_S, "a saved guest is not restored")
        note("restore", time.monotonic() - begin)
        guest = Guest(machine.channel)
        before, first = time.monotonic(), _seconds(guest)
        _right(first - time.time(), WRONG_S, "after a restore")
        note("clock", time.monotonic() - before)
        begin = time.monotonic()
        machine.channel.request(Warm())
        compiled = _expect(machine, Warmed, COMPILE_S, "a restored guest does not compile")
        note("compile", compiled.compile_s)
        passed = time.monotonic() - before
        _right(_seconds(guest) - first - passed, WRONG_S + passed / 10, f"{passed:.0f} s later")
        note("clock again", time.monotonic() - begin)


def _expect(machine: Machine, kind: type[T], seconds: float, what: str) -> T:
    try:
        return machine.channel.expect(kind, seconds)
    except GuestLost as lost:
        raise GuestLost(f"{what}: {lost}") from lost


def _seconds(guest: Guest) -> float:
    """The guest's time, since the epoch."""
    said = guest.run(["date", "+%s.%N"], timeout_s=CLOCK_S).out
    try:
        return float(said)
    except ValueError:
        raise GuestLost(f"a restored guest does not know the time: {said[:60]!r}") from None


def _right(wrong_s: float, at_most_s: float, when: str) -> None:
    if abs(wrong_s) > at_most_s:
        raise GuestLost(f"a restored guest's clock is wrong by {wrong_s:+.1f} s {when}")
