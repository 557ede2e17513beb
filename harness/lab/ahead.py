"""A guest that began a run ahead of time: its tests are collected, and it stands before the first one.

Collecting imports the test files and no code of the learner's, so the kernel is as untouched as before it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import GuestLost
from harness.lab.guest import Guest
from harness.lab.machine import Channel
from harness.protocol.frames import Kind

GIVE_UP_S = 30
ANEW = ("seed", "holes", "hold")
"""What a run is told when it goes on, and not when it begins."""


class BegunGuest(Guest):
    """Goes on where it stands when the same run is asked for; else it drops what it began."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._files: dict[Path, bytes] = {}
        self._begun: dict[str, Any] | None = None
        self._changed: set[Path] = set()

    def begin(self, files: Mapping[Path, bytes], cwd: Path, fields: dict[str, Any]) -> None:
        """Start that run of pytest and let it stop before its first test."""
        self._files = dict(files)
        super().put(files)
        super().spawn("pytest", cwd, **fields, hold=True)
        self._begun = {"cwd": cwd, **fields}

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

    def spawn(self, mode: str, cwd: Path, **fields: Any) -> None:
        """Go on with the run that was begun, if it is this one; else start it from nothing."""
        if self._begun is not None and mode == "pytest" and self._is_begun({"cwd": cwd, **fields}):
            self._begun = None
            # Time has passed since it was begun. The answer to this is of no interest.
            self.channel.request("settle", time_ns=time.time_ns(), entropy=os.urandom(32).hex())
            self.channel.send(
                Kind.STDIN, json.dumps({name: fields[name] for name in ("seed", "holes")}).encode() + b"\n"
            )
            return
        self._drop()
        super().spawn(mode, cwd, **fields)

    def _is_begun(self, fields: dict[str, Any]) -> bool:
        assert self._begun is not None
        same = _without(self._begun, ANEW) == _without(fields, ANEW)
        return same and not any(_is_collected(path, fields["tests"]) for path in self._changed)

    def _drop(self) -> None:
        if self._begun is None:
            return
        self._begun = None
        self.channel.request("signal", number=9)
        end = time.monotonic() + GIVE_UP_S
        while (left := end - time.monotonic()) > 0:
            frame = self.channel.receive(left)
            if frame is not None and frame.kind is Kind.CONTROL and frame.json().get("event") == "exit":
                return
        raise GuestLost("a run that was begun ahead of time does not end")


def _without(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _is_collected(path: Path, tests: list[str]) -> bool:
    """Whether collecting `tests` may have read `path`: a test, or a module beside them that is not the tested one."""
    is_module = path.suffix == ".py" and path.name != "loader.py" and not path.name.startswith("test_")
    return str(path) in tests or is_module
