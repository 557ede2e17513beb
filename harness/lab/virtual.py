"""The lab that is the saved guest: restored for each run, ahead of time where it can be."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import GuestLost
from harness.lab.ahead import BegunGuest
from harness.lab.guest import SETTLE_DEADLINE_S, Deadlines, Guest
from harness.lab.machine import Machine
from harness.lab.saved import SavedGuest
from harness.protocol.frames import Frame, Kind


class VirtualLab:
    """The saved guest; `open` restores it."""

    def __init__(self, saved: SavedGuest) -> None:
        self.deadlines = Deadlines(saved.facts.compile_s)
        self._saved = saved
        self._waiting: Machine | None = None
        self._begun: BegunGuest | None = None

    def prepare(self) -> None:
        """Begin to restore the next guest now, so that it is there when `open` asks."""
        if self._waiting is None:
            self._waiting = self._saved.restore()

    def begin(self, files: Mapping[Path, bytes], cwd: Path, fields: dict[str, Any]) -> None:
        """Prepare the next guest, and begin in it the run of pytest that is expected."""
        if self._begun is not None:
            return
        self.prepare()
        assert self._waiting is not None
        try:
            _ask_to_settle(self._waiting)
            begun = BegunGuest(self._waiting.channel)
            begun.begin(files, cwd, fields)
        except GuestLost:
            self.close()
            raise
        self._begun = begun

    def wait_until_begun(self) -> None:
        """Until the run that was begun has collected its tests."""
        assert self._waiting is not None
        channel = self._waiting.channel
        frames: list[Frame] = []
        while not any(frame.kind is Kind.REPORT and frame.json()["event"] == "collected" for frame in frames[-1:]):
            frame = channel.receive(SETTLE_DEADLINE_S)
            if frame is None:
                raise GuestLost("the guest that was begun ahead of time does not collect")
            frames.append(frame)
        channel.unread(frames)

    @contextlib.contextmanager
    def open(self) -> Iterator[Guest]:
        self.prepare()
        machine, self._waiting = self._waiting, None
        begun, self._begun = self._begun, None
        assert machine is not None
        with machine:
            try:
                if begun is None:
                    _ask_to_settle(machine)
                machine.channel.expect("settled", SETTLE_DEADLINE_S)
            except GuestLost as lost:
                lost.remedy = "make lab-clean lab"
                raise
            yield begun or Guest(machine.channel)

    def close(self) -> None:
        """End a guest that was prepared and not used."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = self._begun = None


def _ask_to_settle(machine: Machine) -> None:
    """Give a restored guest the time of now and randomness of its own."""
    machine.channel.request("settle", time_ns=time.time_ns(), entropy=os.urandom(32).hex())
