"""Read the kernel's tracepoints: who opens what, who waits for a CPU, who sends how much.

Run it as `workbook run tracepoints opens ls /etc`, or outside the lab as root: `python3 loader.py waits`.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcc import BPF

SOURCE = Path(__file__).with_name("tracepoints.bpf.c")
EVENTS = Path("/sys/kernel/tracing/events")
FIELD = re.compile(r"field:(?P<declaration>[^;]+);\s*offset:(?P<offset>\d+);\s*size:(?P<size>\d+);")


@dataclass(frozen=True)
class Field:
    """One value in a tracepoint's record, such as `char[16] prev_comm` or `const char * filename`."""

    type: str
    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Open:
    """A process wants to open a file."""

    pid: int
    comm: str
    name: str


@dataclass(frozen=True)
class Wait:
    """How often and how long one thread has waited for a CPU until now."""

    comm: str
    count: int
    total_ns: int


@dataclass(frozen=True)
class Sender:
    """A process, and the network device that it sends to."""

    pid: int
    comm: str
    device: str


def format_of(tracepoint: str) -> str:
    """This kernel's format of a tracepoint, such as "sched:sched_switch"."""
    return (EVENTS / tracepoint.replace(":", "/") / "format").read_text()


def fields(text: str) -> list[Field]:
    """The fields in the text of a format, in its order; an array's length is part of its type."""
    raise NotImplementedError("TODO 1: make a Field of each match of FIELD; split its declaration into type and name")


def load() -> BPF:
    """Compile tracepoints.bpf.c; BCC attaches each TRACEPOINT_PROBE in it at once."""
    return BPF(src_file=str(SOURCE))


def watch_opens(bpf: BPF, report: Callable[[Open], None]) -> None:
    """From now on bpf.perf_buffer_poll() calls `report` with each file that any process wants to open."""

    def decode(cpu: int, data: Any, size: int) -> None:
        event = bpf["opens"].event(data)
        report(Open(event.pid, text_of(event.comm), text_of(event.name)))

    def lost(count: int) -> None:
        print(f"{count} lost", file=sys.stderr)

    bpf["opens"].open_perf_buffer(decode, page_cnt=64, lost_cb=lost)


def waits(bpf: BPF) -> dict[int, Wait]:
    """Thread id → its waits for a CPU that have ended."""
    return {tid.value: Wait(text_of(wait.comm), wait.count, wait.total_ns) for tid, wait in bpf["waits"].items()}


def sent(bpf: BPF) -> dict[Sender, int]:
    """Process and device → bytes queued: the packet's length with one set of headers, also where it is split later."""
    found = bpf["sent"].items()
    return {Sender(key.pid, text_of(key.comm), text_of(key.device)): total.value for key, total in found}


def text_of(name: bytes) -> str:
    """A name from the kernel, as a string."""
    return name.decode(errors="replace")


class Run:
    """What is watched, and for how long: a command, a number of seconds, or both; or everything, without end."""

    def __init__(self, command: list[str], seconds: float | None) -> None:
        self._command = command
        self._seconds = seconds if seconds is not None else float("inf")
        self._child: subprocess.Popen[bytes] | None = None

    def moments(self) -> Iterator[None]:
        """Start the command; go on until it exits, the time is over, or Ctrl-C, and then once more."""
        end = time.monotonic() + self._seconds
        interrupts: list[int] = []
        # Not as KeyboardInterrupt: raised inside a callback, that would be lost.
        signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
        if self._command:
            try:
                self._child = subprocess.Popen(self._command)
            except OSError as error:
                sys.exit(f"tracepoints: cannot run {self._command[0]}: {error.strerror}")
        while not interrupts and time.monotonic() < end and (self._child is None or self._child.poll() is None):
            yield
        yield
        if interrupts:
            print()

    def concerns(self, pid: int) -> bool:
        """Whether the process is the command, or there is none."""
        return self._child is None or self._child.pid == pid

    def end(self) -> None:
        """Terminate the command if it still runs."""
        if self._child:
            self._child.terminate()


def show_format(tracepoint: str) -> None:
    """Print the fields as a table."""
    print(f"{'OFFSET':>6}  {'SIZE':>4}  {'NAME':<22}  TYPE")
    for field in fields(format_of(tracepoint)):
        print(f"{field.offset:>6}  {field.size:>4}  {field.name:<22}  {field.type}")


def show_opens(bpf: BPF, run: Run) -> None:
    """Print a line for each open, and at the end their number."""
    seen = 0

    def show(event: Open) -> None:
        nonlocal seen
        if run.concerns(event.pid):
            seen += 1
            print(f"{event.pid:>8}  {event.comm:<16}  {event.name}", flush=True)

    print(f"{'PID':>8}  {'COMM':<16}  FILE", flush=True)
    watch_opens(bpf, show)
    for _ in run.moments():
        bpf.perf_buffer_poll(timeout=100)
    print(f"{seen} file{'s' * (seen != 1)}")


def show_table(table: Callable[[], list[str]], run: Run) -> None:
    """On a terminal redraw the table every half second; at the end print it for good."""
    for _ in run.moments():
        time.sleep(0.5)
        if sys.stdout.isatty():
            print("\033[H\033[J" + "\n".join(table()), flush=True)
    print("\033[H\033[J" * sys.stdout.isatty() + "\n".join(table()))


def show_waits(bpf: BPF, run: Run) -> None:
    """Print the threads that waited longest, of any process; at the end a histogram of all waits."""

    def table() -> list[str]:
        found = sorted(waits(bpf).items(), key=lambda entry: entry[1].total_ns, reverse=True)
        lines = [f"{'TID':>8}  {'COMM':<16}  {'WAITS':>8}  {'TOTAL (ms)':>10}  {'MEAN (us)':>10}"]
        for tid, wait in found[:12]:
            total_ms, mean_us = wait.total_ns / 1e6, wait.total_ns / wait.count / 1e3
            lines.append(f"{tid:>8}  {wait.comm:<16}  {wait.count:>8}  {total_ms:>10.1f}  {mean_us:>10.1f}")
        return lines

    show_table(table, run)
    print()
    bpf["wait_us"].print_log2_hist("wait (us)")


def show_net(bpf: BPF, run: Run) -> None:
    """Print the bytes that each process sent to each device, and their sum (stacked devices each count)."""

    def table() -> list[str]:
        found = [(who, total) for who, total in sent(bpf).items() if run.concerns(who.pid)]
        lines = [f"{'PID':>8}  {'COMM':<16}  {'DEVICE':<16}  {'BYTES':>12}"]
        for who, total in sorted(found, key=lambda entry: entry[1], reverse=True):
            lines.append(f"{who.pid:>8}  {who.comm:<16}  {who.device:<16}  {total:>12}")
        return [*lines, f"{sum(total for _, total in found)} bytes"]

    show_table(table, run)


SHOWS = {"opens": show_opens, "waits": show_waits, "net": show_net}


def main() -> None:
    """Show one of the views until Ctrl-C, the end of the command, or --seconds."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, help="stop after that many seconds")
    views = ["format", *SHOWS]
    shows = "default: opens; format prints the fields of the tracepoint that follows"
    options.add_argument("view", nargs="?", default="opens", choices=views, help=shows)
    options.add_argument(
        "command", nargs=argparse.REMAINDER, help="run it, show it alone (waits: all threads), stop when it exits"
    )
    given = options.parse_args()
    if given.view == "format":
        for tracepoint in given.command or ["sched:sched_switch"]:
            show_format(tracepoint)
        return
    run = Run(given.command, given.seconds)
    SHOWS[given.view](load(), run)
    run.end()


if __name__ == "__main__":
    main()
