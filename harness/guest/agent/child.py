"""One run: the child process, its pipes or terminal, its limits, and what it may send.

The child is confined by a control group, so that neither a fork bomb nor a memory hog takes the agent down. Output
is capped per test (per run for commands without reports), the number of bytes dropped is said.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import socket
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.protocol.frames import TAKEN, Decoder, Kind, WireError
from harness.protocol.messages import Run, Spawn

READ_SIZE = 1 << 16
PIPE_ROUNDS = 16
"""Reads from one pipe before a report goes out: the most that a full pipe (1 MiB) can hold."""
OUTPUT_CAP = 1 << 20
"""Bytes of output per stream that one test may send."""
TYPED_MAX = 1 << 20
"""Bytes of input that wait for the child; the host is not read while there are more."""
GROUP = Path("/sys/fs/cgroup/run")
MEMORY_MAX = "70%"
PIDS_MAX = 512

Send = Callable[[Kind, bytes], None]


class Output:
    """One stream of the child, with its cap."""

    def __init__(self, fd: int, kind: Kind, send: Send, cap: int | None) -> None:
        self.fd, self._kind, self._send, self._cap = fd, kind, send, cap
        self._sent = self._dropped = 0
        self.ended = False
        """Nothing will ever be there to read again."""

    def forward(self) -> bool:
        """Send one piece on; False when there was none, now or for ever."""
        try:
            data = os.read(self.fd, READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose last process has closed it
            data = b""
        if not data:
            self.ended = True
            return False
        room = len(data) if self._cap is None else max(0, self._cap - self._sent)
        if room:
            self._send(self._kind, data[:room])
        self._sent += min(room, len(data))
        self._dropped += max(0, len(data) - room)
        return True

    def drain(self) -> None:
        """Send on all that the child wrote until now."""
        for _ in range(PIPE_ROUNDS):
            if not self.forward():
                return

    def restart_cap(self) -> None:
        """A new test begins; say what the last one lost."""
        if self._dropped:
            self._send(self._kind, f"\n[{self._dropped} bytes more were printed and dropped]\n".encode())
        self._sent = self._dropped = 0


class Child:
    """The process of one request."""

    def __init__(self, pid: int, outputs: list[Output], stdin: int, reports: int | None, send: Send, tty: bool) -> None:
        self.pid = pid
        self._outputs, self._stdin, self._reports, self._send, self._tty = outputs, stdin, reports, send, tty
        self._decoder = Decoder()
        self._ended: set[int] = set()
        self._typed = bytearray()
        self._last_typed = False

    def sources(self) -> list[int]:
        """File descriptors to wait on."""
        fds = [output.fd for output in self._outputs] + ([self._reports] if self._reports is not None else [])
        return [fd for fd in fds if fd not in self._ended]

    def sinks(self) -> list[int]:
        """The file descriptor that waits to be written to, if there is one."""
        return [self._stdin] if self._typed else []

    @property
    def full(self) -> bool:
        """Whether it has more input waiting than is kept."""
        return len(self._typed) > TYPED_MAX

    def forward(self, ready: set[int]) -> None:
        """Pass on what is readable; output goes before the report that was written after it."""
        if self._reports in ready:
            self._forward_reports()
        for output in self._outputs:
            if output.fd in ready and not output.forward() and output.ended:
                self._ended.add(output.fd)

    def _forward_reports(self) -> None:
        assert self._reports is not None
        try:
            data = os.read(self._reports, READ_SIZE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._ended.add(self._reports)
            return
        try:
            for frame in self._decoder.feed(data):
                for output in self._outputs:
                    output.drain()
                    output.restart_cap()
                if frame.kind is Kind.EVENT:
                    self._send(Kind.EVENT, frame.payload)
                with contextlib.suppress(OSError):
                    os.write(self._reports, TAKEN)
        except WireError:
            self._ended.add(self._reports)

    def feed(self, data: bytes) -> None:
        """Bytes for standard input; none means end of file. What finds no room waits for the next `enter`."""
        if self._stdin < 0:
            return
        self._typed += data or (b"\x04" if self._tty else b"")
        self._last_typed |= not data and not self._tty
        self.enter()

    def enter(self) -> None:
        """Write what waits, as far as there is room."""
        try:
            while self._typed:
                del self._typed[: os.write(self._stdin, self._typed[:READ_SIZE])]
        except BlockingIOError:
            return
        except OSError:  # nothing reads it any more
            self._typed.clear()
        if self._last_typed and self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def signal(self, number: int) -> None:
        """Signal the child's whole process group."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # just forked, it has made no group yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size."""
        if self._tty:
            fcntl.ioctl(self._stdin, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """Send on the last output, end what the child left running, close all."""
        if self._reports is not None and self._reports not in self._ended:
            self._forward_reports()
        for output in self._outputs:
            output.drain()
            output.restart_cap()
        if os.getpid() == 1:  # elsewhere the group, if there is one, is somebody else's
            end_group(GROUP)
        fds = {output.fd for output in self._outputs} | {self._stdin, self._reports}
        for fd in fds - {-1, None}:
            assert fd is not None
            os.close(fd)


def end_group(group: Path) -> None:
    """Kill all processes in a control group.

    Where the kernel does not do it at once (cgroup.kill, Linux 5.14): no more can be forked, and each is killed until
    there is none that was not.
    """
    if (group / "cgroup.kill").exists():
        (group / "cgroup.kill").write_text("1")
        return
    (group / "pids.max").write_text("0")
    killed: set[str] = set()
    while left := {*(group / "cgroup.procs").read_text().split()} - killed:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        killed |= left


def out_of_memory() -> bool:
    """Whether the kernel killed a process of the run for its memory (cgroup-v2.rst, memory.events, Linux 6.12)."""
    try:
        events = dict(line.split() for line in (GROUP / "memory.events").read_text().splitlines())
    except OSError:
        return False
    return int(events["oom_kill"]) > 0


def spawn(request: Spawn | Run, send: Send) -> Child:
    """Start what `request` asks for: a run of pytest forks this warm interpreter, else `argv` is started.

    The agent ignores SIGINT; for what it starts one is kept until it can be handled, and not lost in between (a blocked
    signal is never ignored: kernel/signal.c, sig_ignored(), Linux 6.12).
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return _spawn(request, send)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _spawn(request: Spawn | Run, send: Send) -> Child:
    confine = _prepare_group()
    if isinstance(request, Spawn) and request.tty:
        return _spawn_on_terminal(request, send, confine)
    stdin_read, stdin_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    report_read, report_write = _socket_pair() if isinstance(request, Run) else (None, None)
    pid = os.fork()
    if pid == 0:
        with _last_resort():
            os.setsid()
            for source, target in ((stdin_read, 0), (out_write, 1), (err_write, 2)):
                os.dup2(source, target)
            keep = _keep_only(report_write)
            confine()
            _become(request, keep)
    for fd in (stdin_read, out_write, err_write, report_write):
        if fd is not None:
            os.close(fd)
    for fd in (stdin_write, out_read, err_read, report_read):
        if fd is not None:
            os.set_blocking(fd, False)
    cap = OUTPUT_CAP if report_read is not None else None
    outputs = [Output(out_read, Kind.STDOUT, send, cap), Output(err_read, Kind.STDERR, send, cap)]
    return Child(pid, outputs, stdin_write, report_read, send, tty=False)


def _socket_pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def _spawn_on_terminal(request: Spawn, send: Send, confine: Callable[[], None]) -> Child:
    pid, terminal = pty.fork()
    if pid == 0:
        with _last_resort():
            _keep_only(None)
            confine()
            _become(request, None)
    os.set_blocking(terminal, False)
    child = Child(pid, [Output(terminal, Kind.STDOUT, send, None)], os.dup(terminal), None, send, tty=True)
    child.resize(request.rows, request.columns)
    return child


def _keep_only(report_fd: int | None) -> int | None:
    """Close all but the standard streams and the report socket, which moves out of the way of the learner's code."""
    kept = None
    if report_fd is not None:
        kept = fcntl.fcntl(report_fd, fcntl.F_DUPFD_CLOEXEC, 200)
    os.closerange(3, 200)
    os.closerange(201 if kept is not None else 200, 256)
    return kept


def _become(request: Spawn | Run, report_fd: int | None) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    handler = signal.default_int_handler if isinstance(request, Run) else signal.SIG_DFL
    signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if isinstance(request, Run):
        from harness.guest.testing import runner

        assert report_fd is not None
        Path(request.root).mkdir(parents=True, exist_ok=True)
        os.chdir(request.root)
        os._exit(runner.run(request, report_fd))
    for folder in (request.cwd, *request.folders):
        Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ.update(request.env)
    os.chdir(request.cwd)
    os.execvp(request.argv[0], request.argv)


@contextlib.contextmanager
def _last_resort() -> Any:
    """A forked child never returns into the agent's loop."""
    try:
        yield
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(127)


def _prepare_group() -> Callable[[], None]:
    """A fresh control group in the guest; outside one (no cgroup file system of our own) no confinement."""
    if os.getpid() != 1:
        return lambda: None
    controllers = GROUP.parent / "cgroup.subtree_control"
    controllers.write_text("+memory +pids")
    GROUP.mkdir(exist_ok=True)
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    (GROUP / "memory.max").write_text(str(total_kib * 1024 * int(MEMORY_MAX.rstrip("%")) // 100))
    (GROUP / "memory.oom.group").write_text("0")
    (GROUP / "pids.max").write_text(str(PIDS_MAX))

    def confine() -> None:
        (GROUP / "cgroup.procs").write_text("0")

    return confine
