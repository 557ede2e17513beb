"""A guest that is ready for one run: restored, settled (clock, entropy), its files in place."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.errors import GuestLost
from harness.lab.machine import Channel
from harness.protocol.frames import Kind

SETTLE_DEADLINE_S = 60
"""A restored guest answers in a fraction of a second; a loaded host may need many."""


@dataclass(frozen=True)
class Deadlines:
    """How long things may take, as multiples of one bare BCC compile on this machine."""

    compile_s: float
    given_s: float | None = None
    """What the user set for one test (pytest's --timeout), in seconds."""

    @property
    def wait_s(self) -> float:
        """One wait for a condition inside a test."""
        return 5 + 4 * self.compile_s

    @property
    def test_s(self) -> float:
        """One whole test, its fixtures included."""
        return self.given_s or 20 + 16 * self.compile_s

    @property
    def silence_s(self) -> float:
        """No word at all from a running test: the host's own deadline, after the guest's has failed to act."""
        return self.test_s + 15


class Lab(Protocol):
    """Where learners' code runs."""

    deadlines: Deadlines

    def open(self) -> contextlib.AbstractContextManager[Guest]:
        """A fresh guest."""


class Guest:
    """One end of a channel whose other end runs what it is told."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def put(self, files: Mapping[Path, bytes]) -> None:
        """Copy files to their absolute paths in the guest."""
        self.channel.send_files(files)

    def spawn(self, mode: str, cwd: Path, **fields: Any) -> None:
        """Start the run's one child (harness.guest.agent.child.spawn says what the fields mean)."""
        self.channel.request("spawn", mode=mode, cwd=str(cwd), **fields)

    def run(self, argv: list[str], cwd: Path = Path("/"), timeout_s: float = 60) -> tuple[int, str, str]:
        """Run a command to its end: exit status, standard output, standard error."""
        self.spawn("exec", cwd, argv=argv)
        out = {Kind.STDOUT: b"", Kind.STDERR: b""}
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            frame = self.channel.receive(left)
            if frame is None:
                break
            if frame.kind is Kind.CONTROL:
                return frame.json()["status"], out[Kind.STDOUT].decode(), out[Kind.STDERR].decode()
            out[frame.kind] += frame.payload
        raise GuestLost(f"{argv[0]} did not end within {timeout_s:.0f} s in the lab")
