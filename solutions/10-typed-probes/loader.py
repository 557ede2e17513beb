"""Who waits for a lock on a file, for how long, and what came of it.

Run it as `workbook run typed-probes -- COMMAND`, or outside the lab as root: `python3 loader.py COMMAND`. With `--why
FUNCTION` it says whether such a probe can be put on that function of the kernel, and if not, why.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcc import BPF

SOURCE = Path(__file__).with_name("typed_probes.bpf.c")
FUNCTION = b"fcntl_setlk"
"""The function of the kernel behind fcntl(2)'s locks."""
TYPES = ("read", "write", "unlock")
"""Of a lock, by struct flock's l_type."""
ERESTARTSYS = 512
"""include/linux/errno.h: a signal ended the call; no process sees this number."""
BTF_KIND_FUNC = 12
TRACEABLE = Path("/sys/kernel/tracing/available_filter_functions")
POLL_MS = 100
NO_FUNCTION = "this kernel has no such function"
NO_TYPES = "the kernel's BTF does not describe it"
NO_PLACE = "it cannot be traced: there is no place for a probe at its entry"


@dataclass(frozen=True)
class LockEvent:
    """A thread begins to wait for a lock, or its call has returned."""

    time_ns: int
    took_ns: int
    """Since the call began."""
    pid: int
    tid: int
    comm: str
    fd: int
    may_wait: bool
    """The call waits for the lock; otherwise it fails at once where it cannot have it."""
    type: int
    start: int
    length: int
    """0: to the end of the file."""
    result: int | None
    """0 or a negative error number; None: it begins to wait."""


def load(kretprobe: bool = False) -> BPF:
    """Compile typed_probes.bpf.c and attach it.

    BCC attaches what the C code says by itself. Where no program is at the function's exit, a kretprobe stands in for
    it: as long as step 4 is open, or if `kretprobe` asks for it.
    """
    bpf = BPF(src_file=str(SOURCE), cflags=["-DKRETPROBE"] if kretprobe else [])
    if not any(name.startswith(b"kretfunc__") for name in bpf.funcs):
        bpf.attach_kretprobe(event=FUNCTION, fn_name=b"lock_returned")
    return bpf


class Events:
    """The ring of `bpf`, opened once."""

    def __init__(self, bpf: BPF) -> None:
        self._bpf = bpf
        self._found: list[LockEvent] = []
        self._problem: BaseException | None = None
        bpf["events"].open_ring_buffer(self._keep)

    def _keep(self, context: Any, data: Any, size: int) -> None:
        try:
            self._found.append(lock_event(self._bpf["events"].event(data)))
        except BaseException as problem:
            self._problem = self._problem or problem

    def read(self, wait_ms: int = 0) -> list[LockEvent]:
        """What has come since the last read; sleeps up to `wait_ms` for the first. Raises what a callback met."""
        if wait_ms:
            self._bpf.ring_buffer_poll(timeout=wait_ms)
        self._bpf.ring_buffer_consume()
        if self._problem is not None:
            raise self._problem
        found, self._found = self._found, []
        return found


def lock_event(raw: Any) -> LockEvent:
    """A copy of what lies in the ring."""
    name, result = raw.comm.decode(errors="replace"), raw.result if raw.returned else None
    wanted = raw.type, raw.start, raw.length
    return LockEvent(raw.time_ns, raw.took_ns, raw.pid, raw.tid, name, raw.fd, bool(raw.may_wait), *wanted, result)


def in_btf(function: str) -> bool:
    """Whether the kernel's BTF describes this function, its arguments and their types; libbpf looks, as for BCC."""
    libbpf = ctypes.CDLL("libbpf.so.1")
    libbpf.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    libbpf.btf__find_by_name_kind.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32
    libbpf.btf__free.argtypes = (ctypes.c_void_p,)
    types = libbpf.btf__load_vmlinux_btf()
    try:
        return bool(types) and libbpf.btf__find_by_name_kind(types, function.encode(), BTF_KIND_FUNC) > 0
    finally:
        libbpf.btf__free(types)


def can_be_traced(function: str) -> bool:
    """Whether there is a place for a probe at this function's entry; tracefs lists those that have one."""
    with TRACEABLE.open("rb") as names:
        return any(name.split()[0] == function.encode() for name in names)


def why_not(function: str) -> str:
    """Why no typed probe can be put on this function: NO_FUNCTION, NO_TYPES or NO_PLACE; empty where one can."""
    # TODO 6: ask BPF.ksymname(), in_btf() and can_be_traced(), in this order
    if BPF.ksymname(function.encode()) == -1:
        return NO_FUNCTION
    if not in_btf(function):
        return NO_TYPES
    if not can_be_traced(function):
        return NO_PLACE
    return ""
    # end of TODO 6


def outcome(event: LockEvent) -> str:
    """What came of the call, in a word."""
    if event.result is None:
        return "waits"
    if event.result == 0:
        return "ok"
    return "signal" if event.result == -ERESTARTSYS else errno.errorcode.get(-event.result, str(event.result))


def file_of(event: LockEvent) -> str:
    """The file behind the descriptor; a thread that waits still has it."""
    try:
        return os.readlink(f"/proc/{event.pid}/fd/{event.fd}")
    except OSError:
        return f"descriptor {event.fd}"


def line(event: LockEvent, began_ns: int, file: str) -> str:
    """A line of the table."""
    kind = TYPES[event.type] if 0 <= event.type < len(TYPES) else str(event.type)
    until = str(event.start + event.length - 1) if event.length else "end"
    took = "" if event.result is None else f"{event.took_ns / 1e6:.1f}"
    at_ms, span = (event.time_ns - began_ns) / 1e6, f"{event.start}..{until}"
    who = f"{event.pid:>8}  {printable(event.comm):<16}"
    return f"{at_ms:>10.1f} {who} {kind:<6} {span:<12} {outcome(event):<8} {took:>9}  {printable(file)}"


def printable(name: str) -> str:
    """A name for the screen: what is not printable is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def main() -> None:
    """Print a line for each call and each wait, until the command exits, the time is up or Ctrl-C comes."""
    options = argparse.ArgumentParser(description="Show which processes lock files, and which have to wait.")
    options.add_argument("--kretprobe", action="store_true", help="see returns by a kretprobe, to compare")
    options.add_argument("--why", nargs="+", metavar="FUNCTION", help="say why a function has no typed probe, and exit")
    options.add_argument("--seconds", type=float, help="stop after this time")
    options.add_argument("command", nargs=argparse.REMAINDER, metavar="...", help="run this, and stop when it exits")
    given = options.parse_args()
    if given.why:
        for name in given.why:
            print(f"{name}: {why_not(name) or 'it can be probed with its types'}")
        return
    command = given.command[given.command[:1] == ["--"] :]
    bpf = load(given.kretprobe)
    events, began_ns = Events(bpf), time.monotonic_ns()
    files: dict[tuple[int, int], str] = {}
    waits: set[int] = set()
    calls = waited = 0

    def show(wait_ms: int) -> None:
        nonlocal calls, waited
        for event in events.read(wait_ms):
            file = files.setdefault((event.tid, event.fd), file_of(event))
            print(line(event, began_ns, file), flush=True)
            if event.result is None:
                waits.add(event.tid)
                waited += 1
                continue
            waits.discard(event.tid)
            files.pop((event.tid, event.fd))
            calls += 1

    def going_on() -> bool:
        if given.seconds is not None and time.monotonic_ns() > began_ns + given.seconds * 1e9:
            return False
        return running is None or running.poll() is None

    heading = f"{'PID':>8}  {'COMM':<16} {'LOCK':<6} {'BYTES':<12} {'RESULT':<8} {'TOOK(ms)':>9}  FILE"
    print(f"{'TIME(ms)':>10} {heading}", flush=True)
    try:
        running = subprocess.Popen(command) if command else None
        while going_on():
            show(POLL_MS)
    except FileNotFoundError:
        options.error(f"{command[0]}: there is no such program")
    except KeyboardInterrupt:
        print()
    show(0)
    dropped = bpf["lost"][0].value
    print(f"{calls} calls, {waited} had to wait, {len(waits)} have not returned; {dropped} events dropped")


if __name__ == "__main__":
    main()
