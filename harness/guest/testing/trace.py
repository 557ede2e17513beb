"""trace_pipe, read up to a marker: no guess about when it is quiet (Documentation/trace/ftrace.rst, Linux 6.12)."""

from __future__ import annotations

import itertools
import os
import select
from types import TracebackType
from typing import Self

import pytest

from harness.guest.testing.deadline import Deadline

TRACING = "/sys/kernel/tracing"


class Trace:
    """The only reader of trace_pipe while it is open: a line read here is taken from everyone else."""

    _numbers = itertools.count(1)

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._buffer = b""
        self.seen = 0
        """Lines that were read since the trace was opened, markers apart."""

    def __enter__(self) -> Self:
        self._pipe = os.open(f"{TRACING}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        self._marker = os.open(f"{TRACING}/trace_marker", os.O_WRONLY)
        self.lines()
        self.seen = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._pipe)
        os.close(self._marker)

    def mark(self) -> bytes:
        """Write a marker into the trace; the text that was written."""
        text = f"workbook-marker-{os.getpid()}-{next(self._numbers)}-end".encode()
        os.write(self._marker, text + b"\n")
        return text

    def lines(self) -> list[bytes]:
        """All lines that were in the trace until now, oldest first."""
        __tracebackhide__ = True
        marker = self.mark()
        found: list[bytes] = []
        deadline = Deadline(self._deadline_s)
        while True:
            *complete, self._buffer = self._buffer.split(b"\n")
            for number, line in enumerate(complete):
                if marker in line:
                    self._buffer = b"\n".join([*complete[number + 1 :], self._buffer])
                    self.seen += len(found)
                    return found
                found.append(line)
            left = deadline.left()
            ready, _, _ = select.select([self._pipe], [], [], left)
            if not ready and left > 0:
                continue
            if not ready:
                pytest.fail(f"trace_pipe did not deliver within {self._deadline_s:.0f} s; is another reader open?")
            self._buffer += os.read(self._pipe, 1 << 16)
