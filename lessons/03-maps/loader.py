"""Count system calls in the kernel, by process and number, and time those of one process.

Run it as `workbook run maps -- ls /etc`, or outside the lab as root: `python3 loader.py --seconds 10`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("maps.bpf.c")
EVERY_CALL = -1
SLOTS = 64


@dataclass(frozen=True, order=True)
class SyscallKey:
    """Which system call of which process: struct syscall_key, read back."""

    pid: int
    number: int


def load() -> BPF:
    """Compile maps.bpf.c, which attaches itself: it counts every system call of the machine from now on."""
    return BPF(src_file=str(SOURCE))


def read(bpf: BPF, table: str) -> dict[SyscallKey, int]:
    """All that is in the map `table` ("counts" or "latest") now."""
    # One system call fetches many entries; a walk from key to key needs two for each.
    return {SyscallKey(key.pid, key.number): value.value for key, value in bpf[table].items_lookup_batch()}


def watch(bpf: BPF, pid: int, number: int = EVERY_CALL) -> None:
    """Measure, from now on, the latency of system call `number` of process `pid`."""
    target = bpf["target"]
    target[0] = target.Leaf(number, pid)


def histogram(bpf: BPF) -> list[int]:
    """How many calls fell into each of the SLOTS slots, on all CPUs together."""
    raise NotImplementedError("TODO 5: for each slot of the map latency, add up what the CPUs have in it")


class Reports:
    """What was counted between one report and the next. The kernel's map is only read: others read it too."""

    def __init__(self, bpf: BPF) -> None:
        self._bpf = bpf
        self._last: dict[SyscallKey, int] = {}

    def next(self) -> dict[SyscallKey, int]:
        """The calls since the last report (at first, since load()); a key without new calls is left out."""
        raise NotImplementedError("TODO 7: read counts once; return what is new in it, and keep the reading for later")


def name_of(number: int) -> str:
    """The system call's name, or its number where BCC has no name for it."""
    try:
        names = importlib.import_module("bcc.syscall")
    except Exception:  # BCC 0.31 raises this very class where it has no list for the architecture
        return str(number)
    name: bytes = names.syscalls.get(number, str(number).encode())
    return name.decode()


def comm_of(pid: int) -> str:
    """The process's name, or "-" if it has exited."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return "-"


def show(report: dict[SyscallKey, int], latest: dict[SyscallKey, int], rows: int) -> None:
    """Print the busiest `rows` keys of a report, the most calls first."""
    busiest = sorted(report.items(), key=lambda item: (-item[1], item[0]))[:rows]
    now = time.monotonic_ns()
    print(f"{'CALLS':>8}  {'PID':>7}  {'COMM':<15}  {'SYSCALL':<18}  {'AGO (ms)':>9}")
    for key, calls in busiest:
        ago = f"{(now - latest[key]) / 1e6:.1f}" if key in latest else "-"
        print(f"{calls:>8}  {key.pid:>7}  {comm_of(key.pid):<15}  {name_of(key.number):<18}  {ago:>9}")
    print(flush=True)


def show_histogram(slots: list[int]) -> None:
    """Print the slots from the first to the last that holds a call."""
    used = [slot for slot, calls in enumerate(slots) if calls]
    print(f"{'LATENCY (ns)':>25}  {'CALLS':>8}")
    for slot in range(min(used, default=0), max(used, default=-1) + 1):
        low, high = (1 << slot) >> 1, (1 << slot) - 1
        bar = "*" * -(-40 * slots[slot] // max(slots))
        print(f"{low:>11} - {high:>11}  {slots[slot]:>8}  {bar}".rstrip())


def stopped(command: list[str]) -> int:
    """Start a process that stops itself and, once continued, becomes `command`; returns its process id."""
    program = shutil.which(command[0])
    if program is None:
        raise SystemExit(f"{command[0]}: no such command")
    pid = os.fork()
    if pid == 0:
        try:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execv(program, command)
        finally:
            os._exit(127)
    os.waitpid(pid, os.WUNTRACED)
    return pid


def parse_options() -> argparse.Namespace:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, help="stop after this time (default: with the command, or at Ctrl-C)")
    options.add_argument("--interval", type=float, default=1.0, help="seconds between two reports (default: 1)")
    options.add_argument("--rows", type=int, default=10, help="lines in a report (default: 10)")
    options.add_argument("--latency", action="store_true", help="then show a histogram of the command's latencies")
    options.add_argument("command", nargs="*", help="count this command's calls only")
    return options.parse_args()


def wanted(report: dict[SyscallKey, int], pid: int) -> dict[SyscallKey, int]:
    """The part of a report that is about process `pid`; with 0, about all processes but this one."""
    return {key: calls for key, calls in report.items() if (key.pid == pid if pid else key.pid != os.getpid())}


def main() -> None:
    """Report which process called what, interval by interval; then the sum."""
    options = parse_options()
    bpf = load()
    reports = Reports(bpf)
    pid = stopped(options.command) if options.command else 0
    ended = [os.pidfd_open(pid)] if pid else []
    reports.next()  # leaves out what was called before the command
    if pid:
        watch(bpf, pid)
        os.kill(pid, signal.SIGCONT)
    total: Counter[SyscallKey] = Counter()
    end = time.monotonic() + (options.seconds or float("inf"))
    done: list[int] = []
    try:
        while not done and (left := end - time.monotonic()) > 0:
            done, _, _ = select.select(ended, [], [], min(options.interval, left))
            report = wanted(reports.next(), pid)
            total.update(report)
            show(report, read(bpf, "latest"), options.rows)
    except KeyboardInterrupt:
        print()
        total.update(wanted(reports.next(), pid))
    print(f"{total.total()} system calls in all, of {len(total)} kinds")
    if options.latency and pid:
        show_histogram(histogram(bpf))


if __name__ == "__main__":
    main()
