"""One guest for many short runs, one after the other: the first one pays for its start.

Under TCG a restored guest translates all code again, so a second run in it takes half as long as the first. A run finds
the files that earlier runs left in the guest: use it only for runs whose verdict does not depend on that.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from harness.errors import GuestLost
from harness.lab.guest import Guest, Lab
from harness.protocol.messages import End, Ended, Run

END_DEADLINE_S = 30


class SharedLab:
    """A lab whose `open` gives the same guest again, as long as it lives. Close it."""

    def __init__(self, lab: Lab) -> None:
        self.deadlines, self.lacking, self.on = lab.deadlines, lab.lacking, lab.on
        self._lab = lab
        self._open = contextlib.ExitStack()
        self._guest: Guest | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Guest]:
        """The guest; afterwards the run's processes are ended. A guest that is lost is replaced by the next call."""
        if self._guest is None:
            self._guest = self._open.enter_context(self._lab.open())
        try:
            try:
                yield self._guest
            except GuestLost:
                raise
            except BaseException:  # GeneratorExit too: a run whose verdict is known is not read to its end
                _end_run(self._guest)
                raise
            _end_run(self._guest)
        except GuestLost:
            self._guest = None
            self._open.__exit__(*sys.exc_info())
            raise

    def prepare(self) -> None:
        """The first run restores the guest; the others find it."""

    def begin(self, files: Mapping[Path, bytes], run: Run) -> None:
        """Nothing is begun ahead."""

    def close(self) -> None:
        """End the guest, if there is one."""
        self._guest = None
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end_run(guest: Guest) -> None:
    guest.channel.request(End())
    guest.channel.expect(Ended, END_DEADLINE_S)
