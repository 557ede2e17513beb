"""Show each program that is started, as it starts: an event for each exec, streamed out of the kernel.

Run it as `workbook run perf-events -- sh -c 'date; uname'`, or outside the lab as root: `python3 loader.py`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("perf_events.bpf.c")
PAGES = 64
"""Pages of memory in each CPU's ring; a power of two."""
POLL_MS = 100
FOREVER_NS = 1 << 63
"""Later than any event."""


@dataclass(frozen=True)
class Event:
    """A process became the program `comm`."""

    time_ns: int
    cpu: int
    pid: int
    uid: int
    comm: str


@dataclass
class Stream:
    """What came out of the rings of `bpf`."""

    bpf: BPF
    arrived: list[Event] = field(default_factory=list)
    """In the order of arrival: one ring after the other."""
    lost: int = 0
    """Events that found no room in a ring."""
    error: BaseException | None = None
    """The first exception that a callback met."""


def load(pid: int | None = None) -> BPF:
    """Compile perf_events.bpf.c and attach it; with `pid` the C code sees the macro ONLY_PID."""
    return BPF(src_file=str(SOURCE), cflags=[] if pid is None else [f"-DONLY_PID={pid}"])


def open_rings(stream: Stream, pages: int = PAGES) -> None:
    """Open a ring of `pages` pages on each CPU; reading them calls on_event and on_lost."""

    def kept(function: Callable[..., None]) -> Callable[..., None]:
        """`function` on `stream`; what it raises is kept in stream.error, since ctypes would only print it."""

        def callback(*arguments: int) -> None:
            try:
                function(stream, *arguments)
            except BaseException as error:
                stream.error = stream.error or error

        return callback

    stream.bpf["events"].open_perf_buffer(kept(on_event), page_cnt=pages, lost_cb=kept(on_lost))


def on_event(stream: Stream, cpu: int, data: int, size: int) -> None:
    """Called for each event: `size` bytes at `data` in the ring of `cpu`, which is overwritten after this call.

    comm may hold any byte but 0; one that is not valid UTF-8 becomes U+FFFD, the replacement character.
    """
    raise NotImplementedError("TODO 2: add an Event with copies of the event's values to stream.arrived")


def collect(stream: Stream, done: Callable[[], bool]) -> None:
    """Read the rings until done() is true, all that was submitted by then included; ask done() before each wait.

    No wait is longer than POLL_MS. Raises what a callback raised.
    """
    raise NotImplementedError("TODO 3: poll until done or in error, read what is left, raise stream.error if any")


def take(stream: Stream, before_ns: int) -> list[Event]:
    """Take the events stamped before `before_ns` out of stream.arrived, oldest first; later ones stay for next time."""
    raise NotImplementedError("TODO 5: split the arrived events by time, keep the later, return the others sorted")


def on_lost(stream: Stream, count: int) -> None:
    """Called when a ring had no room for `count` events since its last report."""
    raise NotImplementedError("TODO 6: add them to what the stream has lost")


def hold(command: list[str]) -> tuple[int, int]:
    """A process that becomes `command` once a byte is written to its pipe; its pid and the pipe."""
    held, pipe = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(pipe)
        try:
            if os.read(held, 1):
                os.execvp(command[0], command)
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(127)
    os.close(held)
    return pid, pipe


def main() -> None:
    """Print a line for each exec, in the order of time, until the command exits, the time is up or Ctrl-C comes."""
    options = argparse.ArgumentParser(description="Show each program that is started, as it starts.")
    options.add_argument("--only", action="store_true", help="only the command's own process, not its children")
    options.add_argument("--pages", type=int, default=PAGES, help=f"pages of each CPU's ring (default: {PAGES})")
    options.add_argument("--seconds", type=float, help="stop after this time")
    options.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="...", help="run this command, and stop when it exits"
    )
    given = options.parse_args()
    command = given.command[given.command[:1] == ["--"] :]
    if given.only and not command:
        options.error("--only needs a command")
    child, pipe = hold(command) if command else (0, -1)
    stream = Stream(load(child if given.only else None))
    open_rings(stream, given.pages)
    begin_ns = since_ns = time.monotonic_ns()
    shown = 0

    def show(before_ns: int) -> None:
        nonlocal shown
        for event in take(stream, before_ns):
            shown += 1
            at_ms = (event.time_ns - begin_ns) / 1e6
            print(f"{at_ms:>10.3f} {event.cpu:>4} {event.pid:>8} {event.uid:>6}  {event.comm}", flush=True)

    def done() -> bool:
        """Show all events from before the last wait: no ring can still hold an older one."""
        nonlocal since_ns
        show(since_ns)
        since_ns = time.monotonic_ns()
        if given.seconds is not None and since_ns > begin_ns + given.seconds * 1e9:
            return True
        return bool(command) and os.waitpid(child, os.WNOHANG) != (0, 0)

    print(f"{'TIME(ms)':>10} {'CPU':>4} {'PID':>8} {'UID':>6}  COMM", flush=True)
    try:
        if command:
            os.write(pipe, b"!")
        collect(stream, done)
    except KeyboardInterrupt:
        print()
        stream.error = None
        collect(stream, lambda: True)
    show(FOREVER_NS)
    print(f"{shown} execs, {stream.lost} reported lost")


if __name__ == "__main__":
    main()
