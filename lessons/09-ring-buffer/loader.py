"""Watch a folder: which processes open files below it; writes are shown at once, reads when there is time.

Run it as `workbook run ring-buffer -- --below /etc sh -c 'id; touch /etc/new'`, or outside the lab as root:
`python3 loader.py --below /etc`.
"""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcc import BPF

SOURCE = Path(__file__).with_name("ring_buffer.bpf.c")
PAGES = 64
"""Pages of memory in the ring; a power of two."""
POLL_MS = 1000
"""How long the tool sleeps where nothing wakes it."""
ANY_USER = 0xFFFFFFFF
"""As ANY_USER in the C code."""
FOLDER_SIZE = 64
"""As FOLDER_SIZE in the C code."""


@dataclass(frozen=True)
class Access:
    """A process wants to open a file."""

    time_ns: int
    cpu: int
    pid: int
    comm: str
    writes: bool
    path: str


@dataclass
class Log:
    """What came out of the ring of `bpf`."""

    bpf: BPF
    accesses: list[Access] = field(default_factory=list)
    """In the order in which they happened."""
    error: BaseException | None = None
    """The first exception that a callback met."""


def load(pages: int = PAGES) -> BPF:
    """Compile ring_buffer.bpf.c, with a ring of `pages` pages, and attach it; it sends nothing until want()."""
    return BPF(src_file=str(SOURCE), cflags=[f"-DPAGES={pages}"])


def want(bpf: BPF, uid: int = ANY_USER, folder: str = "") -> None:
    """From now on send what this user opens below this folder, an absolute path; by default everything.

    ValueError where the path has FOLDER_SIZE bytes or more.
    """
    name = os.fsencode(folder.rstrip("/") + "/") if folder else b""
    bpf["wanted"][0] = bpf["wanted"].Leaf(1, uid, name)


def access_of(event: Any) -> Access:
    """A copy of the event's values: `event` itself is a window into the ring, whose room is used again."""
    comm, path = event.comm.decode(errors="replace"), os.fsdecode(event.path)
    return Access(event.time_ns, event.cpu, event.pid, comm, bool(event.writes), path)


def open_ring(log: Log) -> None:
    """Open the ring of log.bpf; reading it calls callback(ctx, data, size) for each event, which goes to log.accesses.

    The first exception that a callback meets is kept in log.error: ctypes would only print it. A callback that returns
    a negative number ends that round of reading.
    """
    raise NotImplementedError("TODO 2: open the ring; the callback keeps access_of(event), or the first exception")


def collect(log: Log, done: Callable[[], bool], wait_ms: int = POLL_MS) -> None:
    """Read the ring until done() is true, all that was sent by then included; sleep up to `wait_ms` between rounds.

    Raises what a callback raised.
    """
    while log.error is None and not done():
        log.bpf.ring_buffer_poll(timeout=wait_ms)
    log.bpf.ring_buffer_consume()
    if log.error is not None:
        raise log.error


def dropped(bpf: BPF) -> int:
    """How many events have found no room in the ring so far."""
    return int(bpf["dropped"][0].value)


def user_id(name: str) -> int:
    """The id of the user that a name or a number stands for."""
    return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid


def folder_name(name: str) -> str:
    """The absolute path of a folder on the command line."""
    path = os.path.abspath(name)
    if len(os.fsencode(path)) >= FOLDER_SIZE:
        raise argparse.ArgumentTypeError(f"{path} has {FOLDER_SIZE} bytes or more")
    return path


def printable(text: str) -> str:
    """A name for the screen: what is not printable is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def main() -> None:
    """Print a line for each file that is opened, until the command exits, the time is up or Ctrl-C comes."""
    options = argparse.ArgumentParser(description="Show which processes open files, to read or to write.")
    options.add_argument("--below", type=folder_name, default="", metavar="FOLDER", help="only files below it")
    options.add_argument("--user", help="only what this user opens: a name or a number")
    options.add_argument("--pages", type=int, default=PAGES, help=f"pages of the ring (default: {PAGES})")
    options.add_argument("--seconds", type=float, help="stop after this time")
    options.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="...", help="run this command, and stop when it exits"
    )
    given = options.parse_args()
    command = given.command[given.command[:1] == ["--"] :]
    try:
        uid = user_id(given.user) if given.user else ANY_USER
    except KeyError:
        options.error(f"there is no user {given.user}")
    running: subprocess.Popen[bytes] | None = None
    log = Log(load(given.pages))
    open_ring(log)
    want(log.bpf, uid, given.below)
    begin_ns = time.monotonic_ns()
    shown = writes = 0

    def show() -> None:
        nonlocal shown, writes
        for access in log.accesses:
            at_ms = (access.time_ns - begin_ns) / 1e6
            lag_ms = (time.monotonic_ns() - access.time_ns) / 1e6
            mode = "write" if access.writes else "read"
            who = f"{access.cpu:>4} {access.pid:>8}  {printable(access.comm):<16}"
            print(f"{at_ms:>10.1f} {lag_ms:>8.1f} {who} {mode:<5} {printable(access.path)}", flush=True)
            shown, writes = shown + 1, writes + access.writes
        log.accesses.clear()

    def done() -> bool:
        show()
        if given.seconds is not None and time.monotonic_ns() > begin_ns + given.seconds * 1e9:
            return True
        return running is not None and running.poll() is not None

    print(f"{'TIME(ms)':>10} {'LAG(ms)':>8} {'CPU':>4} {'PID':>8}  {'COMM':<16} {'MODE':<5} PATH", flush=True)
    try:
        running = subprocess.Popen(command) if command else None
        collect(log, done)
    except FileNotFoundError:
        options.error(f"{command[0]}: there is no such program")
    except KeyboardInterrupt:
        print()
        log.error = None
        collect(log, lambda: True)
    show()
    print(f"{shown} opens, {writes} of them to write; {dropped(log.bpf)} dropped")


if __name__ == "__main__":
    main()
