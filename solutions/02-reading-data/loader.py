"""Who opens which file, and what came of it.

Run it as `workbook run reading-data -- ls /etc`, or outside the lab as root: `python3 loader.py ls /etc`.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("reading_data.bpf.c")
LOOK_S = 0.1


@dataclass(frozen=True)
class SyscallEvent:
    """One call of openat: the Python twin of struct syscall_event, field by field."""

    pid: int
    tid: int
    uid: int
    comm: bytes
    filename: bytes
    timestamp: int
    ret: int


def load() -> BPF:
    """Compile reading_data.bpf.c; nothing is attached yet."""
    return BPF(src_file=str(SOURCE))


def attach(bpf: BPF) -> None:
    """Attach both programs to openat: the return first, so that no call is seen to begin but not to return."""
    openat = bpf.get_syscall_fnname(b"openat")
    bpf.attach_kretprobe(event=openat, fn_name=b"syscall_kretprobe")
    bpf.attach_kprobe(event=openat, fn_name=b"syscall_kprobe")


def decode(raw: bytes) -> SyscallEvent:
    """The event in the bytes of one struct syscall_event; comm and filename end before their first zero byte."""
    # TODO 1: unpack raw as C laid the struct out; end both texts before their first zero
    pid, tid, uid, comm, filename, timestamp, ret = struct.unpack_from("@3I16s64sQi", raw)
    return SyscallEvent(pid, tid, uid, comm.split(b"\0")[0], filename.split(b"\0")[0], timestamp, ret)
    # end of TODO 1


def returned(bpf: BPF) -> Iterator[SyscallEvent]:
    """The calls that have returned since the last look, oldest first; each comes once."""
    for value in bpf["done"].values():
        yield decode(bytes(value))


def inside(bpf: BPF) -> Iterator[SyscallEvent]:
    """The calls that have begun and not returned."""
    for value in bpf["inflight"].values():
        yield decode(bytes(value))


def result(ret: int) -> str:
    """What openat returned: a file descriptor, or the name of the error (its number for one inside the kernel)."""
    return str(ret) if ret >= 0 else errno.errorcode.get(-ret, str(ret))


def printable(text: bytes) -> str:
    """`text` as a terminal may show it: a file name can hold any byte."""
    shown = text.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)


def row(event: SyscallEvent, start_ns: int) -> str:
    """One line of the table."""
    ms = (event.timestamp - start_ns) / 1e6
    comm, name = printable(event.comm), printable(event.filename)
    return f"{ms:>10.3f} {event.pid:>7} {event.tid:>7} {event.uid:>5} {comm:<15} {result(event.ret):>7}  {name}"


def until(bpf: BPF, over: Callable[[], bool]) -> Iterator[SyscallEvent]:
    """Calls as they return, until `over()` is true; then those that are left."""
    while not over():
        yield from returned(bpf)
        time.sleep(LOOK_S)
    yield from returned(bpf)


def main() -> None:
    """Print a line for each call of openat, of one command or of all processes."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=math.inf, help="stop after this time")
    options.add_argument("command", nargs=argparse.REMAINDER, help="watch this command, not its children")
    given = options.parse_args()
    bpf = load()
    attach(bpf)
    start = time.monotonic_ns()
    try:
        child = subprocess.Popen(given.command, stdout=subprocess.DEVNULL) if given.command else None
    except OSError as error:
        options.error(str(error))

    def over() -> bool:
        late = time.monotonic_ns() - start > given.seconds * 1e9
        return late or (child is not None and child.poll() is not None)

    def wanted(pid: int) -> bool:
        return pid == child.pid if child else pid != os.getpid()

    print(f"openat of {' '.join(given.command) or 'all processes'}; press Ctrl-C to stop")
    print(f"{'TIME(ms)':>10} {'PID':>7} {'TID':>7} {'UID':>5} {'COMM':<15} {'RESULT':>7}  FILE", flush=True)
    results: Counter[str] = Counter()
    try:
        for event in until(bpf, over):
            if wanted(event.pid):
                results[result(min(event.ret, 0))] += 1
                print(row(event, start), flush=True)
    except KeyboardInterrupt:
        print()
    failed = {name: count for name, count in results.most_common() if name != "0"}
    detail = ", ".join(f"{count} {name}" for name, count in failed.items())
    print(f"{results.total()} calls, {sum(failed.values())} failed{f' ({detail})' if detail else ''}")
    for event in inside(bpf):
        if wanted(event.pid):
            print(f"still inside openat: {printable(event.comm)} ({event.tid}), {printable(event.filename)}")


if __name__ == "__main__":
    main()
