"""A guest that began a run ahead of time: its tests are collected, and it waits before the first one.

Collecting imports the test files and no code of the learner's, so the kernel is as untouched as before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.lab.channel import Channel
from harness.lab.guest import Guest
from harness.lab.now import settling
from harness.protocol import codec
from harness.protocol.messages import Exited, Go, Run, Signal, Spawn
from harness.protocol.names import LOADER

GIVE_UP_S = 30
KILL = 9


class BegunGuest(Guest):
    """Resumes if the same run is requested; else it drops what it began."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._files: dict[Path, bytes] = {}
        self._begun: Run | None = None
        self._changed: set[Path] = set()

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        """Start that run of pytest and let it stop before its first test."""
        self._files = dict(files)
        super().put(files)
        self._begun = replace(run, hold=True)
        super().start(self._begun)

    def put(self, files: Mapping[Path, bytes]) -> None:
        """Copy what differs from what is there; what is not in `files` goes."""
        differs = {path: content for path, content in files.items() if self._files.get(path) != content}
        gone = self._files.keys() - files.keys()
        self._changed = gone | differs.keys()
        if gone:
            self._drop()
            self.run(["rm", "-f", *map(str, gone)])
        super().put(differs)
        self._files = dict(files)

    def start(self, what: Spawn | Run) -> None:
        """Resume the run that was begun, if it is this one; else start `what` from nothing."""
        if isinstance(what, Run) and self._is_begun(what):
            self._begun = None
            # Time has passed since it was begun. The answer to this is of no interest.
            self.channel.request(settling())
            self.channel.enter(codec.dump(Go(seed=what.seed, holes=what.holes)) + b"\n")
            return
        self._drop()
        super().start(what)

    def _is_begun(self, run: Run) -> bool:
        """Seed and TODOs are given when a run resumes; all else must be unchanged."""
        if self._begun is None or any(_is_collected(path, run) for path in self._changed):
            return False
        return replace(self._begun, seed=run.seed, holes=run.holes, hold=run.hold) == run

    def _drop(self) -> None:
        """End what was begun; GuestLost if it does not end."""
        if self._begun is None:
            return
        self._begun = None
        self.channel.request(Signal(number=KILL))
        self.channel.expect(Exited, GIVE_UP_S)


def _is_collected(path: Path, run: Run) -> bool:
    """Whether collecting may have read `path`: a test, or a module beside them that is not the tested one."""
    is_module = path.suffix == ".py" and path.name != LOADER and not path.name.startswith("test_")
    return str(path) in run.tests or is_module
