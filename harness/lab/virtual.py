"""The lab that is the saved guest: restored for each run, ahead of time where it can be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from harness.errors import GuestLost
from harness.lab.ahead import BegunGuest
from harness.lab.channel import Received
from harness.lab.guest import SETTLE_DEADLINE_S, Deadlines, Guest
from harness.lab.machine import Machine
from harness.lab.now import settling
from harness.lab.saved import SavedGuest
from harness.protocol.messages import Precompiled, Run, Settled


class VirtualLab:
    """The saved guest; `open` restores it."""

    def __init__(self, saved: SavedGuest) -> None:
        self.deadlines = Deadlines(saved.facts.compile_s)
        self.lacking = saved.facts.lacking
        self.on = "" if saved.target.is_default else str(saved.target)
        self._saved = saved
        self._waiting: Machine | None = None
        self._begun: BegunGuest | None = None

    def prepare(self) -> None:
        """Begin to restore the next guest now, so that it is there when `open` asks."""
        if self._waiting is None:
            self._waiting = self._saved.restore()

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        """Prepare the next guest, and begin in it the run of pytest that is expected."""
        if self._begun is not None:
            return
        self.prepare()
        assert self._waiting is not None
        try:
            self._waiting.channel.request(settling())
            begun = BegunGuest(self._waiting.channel)
            begun.begin(files, run)
        except GuestLost:
            self.close()
            raise
        self._begun = begun

    def wait_until_begun(self) -> None:
        """Until the run that was begun has collected its tests, and has compiled the programs once."""
        assert self._waiting is not None
        channel = self._waiting.channel
        seen: list[Received] = []
        for message in channel.messages(channel.deadline(SETTLE_DEADLINE_S)):
            seen.append(message)
            if isinstance(message, Precompiled):
                channel.unread(seen)
                return
        raise GuestLost("the guest that was begun ahead of time has not compiled its programs")

    @contextlib.contextmanager
    def open(self) -> Iterator[Guest]:
        self.prepare()
        machine, self._waiting = self._waiting, None
        begun, self._begun = self._begun, None
        assert machine is not None
        with machine:
            try:
                if begun is None:
                    machine.channel.request(settling())
                machine.channel.expect(Settled, SETTLE_DEADLINE_S)
            except GuestLost as lost:
                lost.remedy = "make lab-clean lab"
                raise
            yield begun or Guest(machine.channel)

    def close(self) -> None:
        """End a guest that was prepared and not used."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = self._begun = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
