"""A process whose events a test looks at: started first, released when the probes are attached."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from harness.guest.testing.deadline import Deadline


class Workload:
    """A forked child that waits for `run()`.

    Between the release and the end of `function` the child makes no system call but those of `function` itself and
    one read before, one write after.
    """

    pid: int
    """The child's process id; it stays after the child has exited."""

    pids: ClassVar[set[int]] = set()
    """Of the children that the running test has released."""

    def __init__(self, function: Callable[[], Any], deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._reaped = False
        release_read, self._release = os.pipe()
        self._result, result_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self._release)
                os.read(release_read, 1)
                value = function()
                os.write(result_write, json.dumps(value).encode())
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(release_read)
        os.close(result_write)

    @property
    def comm(self) -> str:
        """The child's name in the kernel, at most 15 bytes."""
        with open(f"/proc/{self.pid}/comm") as file:
            return file.read().rstrip("\n")

    def start(self) -> None:
        """Let the child go without waiting for it."""
        self.pids.add(self.pid)
        os.write(self._release, b"!")

    def wait(self) -> Any:
        """What `function` returned, once the child has exited; the test fails at the deadline."""
        __tracebackhide__ = True
        data = b""
        deadline = Deadline(self._deadline_s)
        while True:
            left = deadline.left()
            ready, _, _ = select.select([self._result], [], [], left)
            if not ready and left > 0:
                continue
            if not ready:
                pytest.fail(f"the workload did not exit within {self._deadline_s:.0f} s")
            piece = os.read(self._result, 1 << 16)
            if not piece:
                break
            data += piece
        _, status = os.waitpid(self.pid, 0)
        self._reaped = True
        if status != 0:
            pytest.fail(f"the workload failed (exit status {os.waitstatus_to_exitcode(status)})")
        return json.loads(data)

    def run(self) -> Any:
        """Release the child, wait until it has exited, return what `function` returned."""
        __tracebackhide__ = True
        self.start()
        return self.wait()

    def close(self) -> None:
        """Kill the child if it has not exited."""
        if not self._reaped:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._reaped = True
        for fd in (self._release, self._result):
            os.close(fd)
