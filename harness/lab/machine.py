"""A running QEMU and the host's end of its channel. The owner closes it; nothing outlives this process."""

from __future__ import annotations

import contextlib
import io
import os
import re
import selectors
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import GuestLost
from harness.lab import qemu
from harness.lab.image.disk import Disk
from harness.protocol.frames import Decoder, Frame, Kind, WireError, encode, encode_json

CONSOLE_TAIL = 30
FAULT = re.compile(r"Kernel panic|BUG: |Oops: |Out of memory: ")
"""How the kernel's own report of a fault begins (kernel/panic.c, dumpstack.c, mm/oom_kill.c, Linux 6.12)."""
TAR_PIECE = 1 << 20
SEND_TIMEOUT_S = 60


class Channel:
    """Frames over a socket, with deadlines."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)

    def send(self, kind: Kind, payload: bytes) -> None:
        """One frame; GuestLost when the other end is gone."""
        self._send(encode(kind, payload))

    def request(self, op: str, **fields: Any) -> None:
        """One control frame."""
        self._send(encode_json(Kind.CONTROL, {"op": op, **fields}))

    def _send(self, data: bytes) -> None:
        self.socket.settimeout(SEND_TIMEOUT_S)
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise GuestLost(f"the lab's guest takes no more input: {error}") from error

    def receive(self, timeout_s: float | None) -> Frame | None:
        """The next frame; None when none came within `timeout_s`; GuestLost at the end of the stream."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._frames:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not self._selector.select(left):
                if left == 0:
                    return None
                continue
            try:
                data = self.socket.recv(1 << 16)
                if not data:
                    raise GuestLost("the lab's guest ended")
                self._frames += self._decoder.feed(data)
            except (OSError, WireError) as error:
                raise GuestLost(f"the lab's channel broke: {error}") from error
        return self._frames.pop(0)

    def unread(self, frames: list[Frame]) -> None:
        """Let `frames` be received again, before all others."""
        self._frames[:0] = frames

    def expect(self, event: str, timeout_s: float) -> dict[str, Any]:
        """Wait for the control frame `event`; GuestLost when it does not come in time."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            frame = self.receive(left)
            if frame is not None and frame.kind is Kind.CONTROL:
                answer = frame.json()
                if answer["event"] == event:
                    return answer
        raise GuestLost(f"the lab's guest did not say {event!r} within {timeout_s:.0f} s")

    def send_files(self, files: Mapping[Path, bytes]) -> None:
        """Put files at their absolute paths in the guest, all at once."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(str(path).lstrip("/"))
                entry.size, entry.mode, entry.mtime = len(content), 0o755, int(time.time())
                archive.addfile(entry, io.BytesIO(content))
        data = buffer.getvalue()
        for start in range(0, len(data), TAR_PIECE):
            self.send(Kind.TAR, data[start : start + TAR_PIECE])
        self.send(Kind.TAR, b"")

    def close(self) -> None:
        self._selector.close()
        self.socket.close()


class Machine:
    """One guest: booted, or restored from a saved state."""

    def __init__(
        self, disk: Disk, initrd: Path, accelerator: str, *, state: Path | None = None, monitor: bool = False
    ) -> None:
        self._console = os.memfd_create("console")
        self._errors = os.memfd_create("errors")
        with contextlib.ExitStack() as inherited:
            ours, theirs = socket.socketpair()
            inherited.callback(theirs.close)
            self.monitor: socket.socket | None = None
            their_monitor: socket.socket | None = None
            if monitor:
                self.monitor, their_monitor = socket.socketpair()
                inherited.callback(their_monitor.close)
            saved = inherited.enter_context(state.open("rb")) if state else None
            wiring = qemu.Wiring(
                channel=theirs.fileno(),
                console=self._console,
                monitor=their_monitor.fileno() if their_monitor else None,
                incoming=saved.fileno() if saved else None,
            )
            fds = [fd for fd in (wiring.channel, wiring.console, wiring.monitor, wiring.incoming) if fd is not None]
            # A session of its own, so that a Ctrl-C at the terminal reaches us and not QEMU; setpriv, so that it
            # dies with us however we end.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *qemu.argv(qemu.find(), disk, initrd, accelerator, wiring)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=fds,
                start_new_session=True,
            )
        self.channel = Channel(ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GuestLost) and not error.console:
            error.console = self.last_words()
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def last_words(self) -> str:
        """The end of the console, what QEMU itself complained of, and how it ended, if it did."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        return "\n".join([*_tail(self._console), *_tail(self._errors), *self._ending()])

    def _ending(self) -> Iterator[str]:
        status = self._process.poll()
        if status is not None and status < 0:
            yield f"QEMU was ended by signal {-status} ({signal.Signals(-status).name})"
        elif status is not None:
            yield f"QEMU ended by itself, with status {status}"

    def close(self) -> None:
        """End the guest at once; its disk is read-only, so nothing is lost."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.channel.close()
        if self.monitor:
            self.monitor.close()
        for fd in (self._console, self._errors):
            with contextlib.suppress(OSError):
                os.close(fd)


def _tail(fd: int) -> Iterator[str]:
    try:
        size = os.fstat(fd).st_size
        text = os.pread(fd, 1 << 16, max(0, size - (1 << 16))).decode(errors="replace")
    except OSError:
        return
    yield from essential([line.rstrip() for line in text.splitlines() if line.strip()])


def essential(console: list[str]) -> list[str]:
    """The last lines, and before them what the kernel said first of its end: a dump of registers can hide that."""
    earlier, last = console[:-CONSOLE_TAIL], console[-CONSOLE_TAIL:]
    return [line for line in earlier if FAULT.search(line)] + last
