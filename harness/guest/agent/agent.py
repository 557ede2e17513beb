"""The guest's end of the channel: takes a tree and a command, runs it in a child, streams back what it does.

In the guest this is process 1, so nothing that the learner's code does can end it. With `--lab host` the same loop
runs as an ordinary child of pytest, on an inherited socket.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import select
import signal
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.guest.agent import clock, warmup
from harness.guest.agent.child import Child, out_of_memory, spawn
from harness.protocol.frames import Decoder, Frame, Kind, encode, encode_json

READ_SIZE = 1 << 16
TAR_PIECE = 1 << 20
TAR_OVERHEAD = 10240
"""Bytes that one more file can add to an archive beside its own (a header, padding, the record)."""


class Agent:
    """Serves one host over one file descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decoder = Decoder()
        self._tar = io.BytesIO()
        self._child: Child | None = None

    def send(self, kind: Kind, payload: bytes) -> None:
        """Write one frame; waits while the host does not read."""
        self._write(encode(kind, payload))

    def answer(self, **fields: Any) -> None:
        """Write one control frame."""
        self._write(encode_json(Kind.CONTROL, fields))

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
        self.answer(event="ready", kernel=platform.release(), machine=platform.machine())
        while True:
            sources = [self._fd, wake, *(self._child.sources() if self._child else [])]
            ready, _, _ = select.select(sources, [], [])
            if wake in ready:
                os.read(wake, READ_SIZE)
            if self._fd in ready:
                data = os.read(self._fd, READ_SIZE)
                if not data:
                    self._end_child()
                    return
                for frame in self._decoder.feed(data):
                    self._handle(frame)
            if self._child:
                self._child.forward(set(ready))
            self._reap()

    def _handle(self, frame: Frame) -> None:
        if frame.kind is Kind.TAR:
            self._unpack(frame.payload)
        elif frame.kind is Kind.STDIN:
            if self._child:
                self._child.feed(frame.payload)
        elif frame.kind is Kind.CONTROL:
            request = frame.json()
            self._operations()[request["op"]](request)

    def _operations(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        return {
            "warm": lambda _: self.answer(event="warm", **warmup.warm()),
            "settle": self._settle,
            "spawn": self._spawn,
            "signal": self._signal,
            "end": self._end,
            "fetch": self._fetch,
            "window": self._resize,
        }

    def _settle(self, request: dict[str, Any]) -> None:
        clock.set_clock(request["time_ns"])
        clock.feed_entropy(bytes.fromhex(request["entropy"]))
        self.answer(event="settled")

    def _unpack(self, piece: bytes) -> None:
        if piece:
            self._tar.write(piece)
            return
        self._tar.seek(0)
        with tarfile.open(fileobj=self._tar, mode="r:") as archive:  # else it imports three decompressors first
            archive.extractall("/", filter="tar")
        self._tar = io.BytesIO()

    def _spawn(self, request: dict[str, Any]) -> None:
        for folder in (request["cwd"], *request.get("folders", ())):
            Path(folder).mkdir(parents=True, exist_ok=True)
        self._child = spawn(request, self.send)

    def _fetch(self, request: dict[str, Any]) -> None:
        """Send the regular files of a folder as one tar archive, as many as fit into `size_max` bytes."""
        buffer, left = io.BytesIO(), request["size_max"]
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            folder = Path(request["path"])
            for file in sorted(folder.iterdir()) if folder.is_dir() else []:
                if file.is_file() and not file.is_symlink() and file.stat().st_size + TAR_OVERHEAD <= left:
                    left -= file.stat().st_size + TAR_OVERHEAD
                    archive.add(file, file.name)
        data = buffer.getvalue()
        for start in range(0, len(data), TAR_PIECE):
            self.send(Kind.TAR, data[start : start + TAR_PIECE])
        self.send(Kind.TAR, b"")

    def _signal(self, request: dict[str, Any]) -> None:
        if self._child:
            self._child.signal(request["number"])

    def _end(self, _: dict[str, Any]) -> None:
        """End the run, if there is one: the next may begin when this is answered."""
        self._end_child()
        self._child = None
        self.answer(event="ended")

    def _resize(self, request: dict[str, Any]) -> None:
        if self._child:
            self._child.resize(request["rows"], request["columns"])

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
                self.answer(event="exit", status=code, out_of_memory=out_of_memory())

    def _end_child(self) -> None:
        if self._child:
            self._child.signal(signal.SIGKILL)
            self._child.close()


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
