"""The last lines of a guest's console and of QEMU's complaints: kept in a ring, so that no guest fills the host."""

from __future__ import annotations

import contextlib
import re
import socket

from harness.protocol.visible import visible

KEPT = 1 << 16
"""Bytes."""
TAIL = 30
"""Lines."""
FAULT = re.compile(r"Kernel panic|BUG: |Oops: |Out of memory: ")
"""How the kernel's own report of a fault begins (kernel/panic.c, dumpstack.c, mm/oom_kill.c, Linux 6.12)."""


class Console:
    """Reads a socket whose other end a guest or QEMU writes to."""

    def __init__(self) -> None:
        self.socket, self.writer = socket.socketpair()
        self.socket.setblocking(False)
        self._kept = bytearray()

    def read(self) -> bool:
        """Take what is there now; False when there was nothing."""
        try:
            data = self.socket.recv(KEPT)
        except OSError:
            return False
        self._kept += data
        del self._kept[:-KEPT]
        return bool(data)

    def tail(self) -> list[str]:
        """The last lines, harmless to print."""
        while self.read():
            pass
        text = visible(self._kept.decode(errors="replace").replace("\r", ""))
        return essential([line.rstrip() for line in text.splitlines() if line.strip()])

    def close(self) -> None:
        for end in (self.socket, self.writer):
            with contextlib.suppress(OSError):
                end.close()


def essential(lines: list[str]) -> list[str]:
    """The last lines, and before them what the kernel said first of its end: a dump of registers can hide that."""
    earlier, last = lines[:-TAIL], lines[-TAIL:]
    return [line for line in earlier if FAULT.search(line)] + last
