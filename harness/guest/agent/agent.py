"""The guest's end of the channel: takes files and requests, runs a command in a child, streams back what it does.

In the guest this is process 1, so nothing that the learner's code does can end it. With `--lab host` the same loop
runs as an ordinary child of the host's command, on an inherited socket.
"""

from __future__ import annotations

import argparse
import os
import platform
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from harness.guest.agent import clock, warmup
from harness.guest.agent.child import Child, out_of_memory, spawn
from harness.guest.testing import deadline
from harness.protocol import codec
from harness.protocol.frames import FILE_MAX, Decoder, Frame, Kind, WireError, decode_file, encode, encode_file
from harness.protocol.messages import (
    Answer,
    End,
    Ended,
    Exited,
    Fetch,
    Fetched,
    InternalError,
    Ready,
    Request,
    Resize,
    Run,
    Settle,
    Settled,
    Signal,
    Spawn,
    Starved,
    Warm,
    read_request,
)  # fmt: skip

READ_SIZE = 1 << 16
P = ParamSpec("P")


class Agent:
    """Serves one host over one file descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decoder = Decoder()
        self._child: Child | None = None

    def send(self, kind: Kind, payload: bytes) -> None:
        """Write one frame; waits while the host does not read."""
        self._write(encode(kind, payload))

    def answer(self, message: Answer) -> None:
        """Write one message."""
        self.send(Kind.MESSAGE, codec.dump(message))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def serve(self) -> None:
        """Until the host closes the channel."""
        wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        self.answer(Ready(kernel=platform.release(), machine=platform.machine()))
        while True:
            sources, sinks = [self._fd, wake], []
            if self._child:
                sources = [wake] if self._child.full else sources
                sources, sinks = [*sources, *self._child.sources()], self._child.sinks()
            ready, room, _ = select.select(sources, sinks, [])
            if wake in ready:
                os.read(wake, READ_SIZE)
            if self._fd in ready:
                data = os.read(self._fd, READ_SIZE)
                if not data:
                    self._end_child()
                    return
                for frame in self._decoder.feed(data):
                    self._guarded(self._take, frame)
            if self._child:
                self._guarded(self._child.forward, set(ready))
            if self._child and room:
                self._guarded(self._child.enter)
            self._guarded(self._reap)

    def _guarded(self, work: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """A fault in the agent's own work is an answer, and it serves on: when process 1 ends, the kernel panics."""
        try:
            work(*arguments, **named)
        except Exception:
            self.answer(InternalError(text=traceback.format_exc()))

    def _take(self, frame: Frame) -> None:
        """Do what a frame asks."""
        if frame.kind is Kind.FILE:
            _put(*decode_file(frame.payload))
        elif frame.kind is Kind.STDIN:
            if self._child:
                self._child.feed(frame.payload)
        elif frame.kind is Kind.MESSAGE:
            self._handle(read_request(frame.payload))
        else:
            raise WireError(f"a host sends no {frame.kind.name}")

    def _handle(self, request: Request) -> None:
        match request:
            case Warm():
                self.answer(warmup.warm())
            case Settle(time_ns=time_ns, entropy=entropy):
                clock.set_clock(time_ns)
                clock.feed_entropy(bytes.fromhex(entropy))
                self.answer(Settled())
            case Starved(seconds=seconds):
                deadline.note_starved(seconds)
            case Spawn() | Run():
                self._end_child()
                self._child = spawn(request, self.send)
            case Signal(number=number):
                if self._child:
                    self._child.signal(number)
            case Resize(rows=rows, columns=columns):
                if self._child:
                    self._child.resize(rows, columns)
            case End():
                self._end_child()
                self.answer(Ended())
            case Fetch():
                self._fetch(request)

    def _fetch(self, request: Fetch) -> None:
        left_out = 0
        room, files = request.size_max, request.files_max
        folder = Path(request.path)
        for file in sorted(folder.iterdir()) if folder.is_dir() else []:
            fits = file.is_file() and not file.is_symlink() and file.stat().st_size <= min(room, FILE_MAX) and files > 0
            if not fits:
                left_out += 1
                continue
            with file.open("rb") as opened:
                content = opened.read(min(room, FILE_MAX))
            room, files = room - len(content), files - 1
            self._write(encode_file(file.name, content))
        self.answer(Fetched(left_out=left_out))

    def _reap(self) -> None:
        """Collect ended processes: the child's end is the run's end; of orphans nothing is kept."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child and pid == self._child.pid:
                code = os.waitstatus_to_exitcode(status)
                self._child.close()
                self._child = None
                self.answer(Exited(status=code, out_of_memory=out_of_memory()))

    def _end_child(self) -> None:
        if self._child:
            self._child.signal(signal.SIGKILL)
            self._child.close()
            self._child = None


def _put(name: str, content: bytes) -> None:
    """Write a file that the host sent, at its absolute path."""
    path = Path("/") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)


def open_port(name: str, deadline_s: float = 10) -> int:
    """The virtio-serial port that QEMU named `name`; there is no udev here to make its link."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for entry in Path("/sys/class/virtio-ports").glob("*"):
            if (entry / "name").read_text().strip() == name:
                return os.open(f"/dev/{entry.name}", os.O_RDWR)
        time.sleep(0.05)
    raise SystemExit(f"no virtio port named {name}")


def main() -> None:
    """Serve the host until it closes the channel."""
    parser = argparse.ArgumentParser(description=__doc__)
    channel = parser.add_mutually_exclusive_group(required=True)
    channel.add_argument("--port", help="name of a virtio-serial port")
    channel.add_argument("--fd", type=int, help="an inherited socket")
    options = parser.parse_args()
    fd = open_port(options.port) if options.port else options.fd
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Agent(fd).serve()
    if options.port:
        sys.exit("the host closed the channel")


if __name__ == "__main__":
    main()
