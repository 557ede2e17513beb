"""A guest that is ready for one run: restored, settled (clock, entropy), its files in place; and what gives such."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import GuestLost
from harness.lab.channel import Channel, Output
from harness.protocol.messages import Exited, Run, Spawn

SETTLE_DEADLINE_S = 60
"""A restored guest answers in a fraction of a second; a loaded host may need many."""
OUTPUT_MAX = 16 << 20
"""Bytes of a command's output that are kept."""


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

    def run_s(self, tests: int) -> float:
        """A whole run, its collection included, if each of its tests takes all the time it may."""
        return self.silence_s * (tests + 2)


class Lab(Protocol):
    """Where learners' code runs. Closed, or left as a context, it ends what it prepared."""

    deadlines: Deadlines
    lacking: Mapping[str, str]
    """Feature → why this lab's kernel or BCC does not have it; each was tried there."""
    on: str
    """Which lab this is, in words; empty for the one that a command uses by default."""

    def open(self) -> contextlib.AbstractContextManager[Guest]:
        """A fresh guest."""

    def prepare(self) -> None:
        """Begin to make the next guest ready, so that it is there when `open` asks."""

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        """Let the next guest begin the run that is expected, up to its first test, where the lab can do that."""

    def close(self) -> None:
        """End a guest that was prepared and not used."""


@dataclass(frozen=True)
class Completed:
    """A command that ran to its end."""

    status: int
    out: str
    err: str


class Guest:
    """One end of a channel whose other end runs what it is asked to."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def put(self, files: Mapping[Path, bytes]) -> None:
        """Copy files to their absolute paths in the guest."""
        self.channel.put(files)

    def start(self, what: Spawn | Run) -> None:
        """Start the run's one child."""
        self.channel.start_counting()
        self.channel.request(what)

    def run(self, argv: list[str], cwd: Path = Path("/"), timeout_s: float = 60) -> Completed:
        """Run a command to its end; GuestLost when it does not come to it in time."""
        self.start(Spawn(argv=tuple(argv), cwd=str(cwd)))
        out = {"stdout": bytearray(), "stderr": bytearray()}
        for message in self.channel.messages(self.channel.deadline(timeout_s)):
            if isinstance(message, Exited):
                return Completed(message.status, *(data.decode(errors="replace") for data in out.values()))
            if isinstance(message, Output) and len(out[message.stream]) < OUTPUT_MAX:
                out[message.stream] += message.data
        raise GuestLost(f"{argv[0]} did not end within {timeout_s:.0f} s in the lab")
