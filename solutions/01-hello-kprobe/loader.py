"""Say hello from inside the kernel, each time a process makes one system call.

Run it as `workbook run kprobe`, or outside the lab as root: `python3 loader.py --syscall getppid`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("hello_kprobe.bpf.c")
LINE = re.compile(rb"hello from pid=(\d+) comm=(.*)")


@dataclass(frozen=True)
class Message:
    """One line of the kernel program, read back."""

    pid: int
    comm: str


def load() -> BPF:
    """Compile hello_kprobe.bpf.c; nothing is attached yet."""
    return BPF(src_file=str(SOURCE))


def attach(bpf: BPF, syscall: str) -> bytes:
    """Attach hello_kprobe to the kernel function behind `syscall`, such as "getppid"; return that function's name."""
    # TODO 1: ask bpf for the function's name, attach hello_kprobe once, return the name
    function = bpf.get_syscall_fnname(syscall.encode())
    bpf.attach_kprobe(event=function, fn_name=b"hello_kprobe")
    return function
    # end of TODO 1


def parse(line: bytes) -> Message | None:
    """The message in a line of trace_pipe, or None if the line is not ours. A command's name may hold any byte."""
    # TODO 3: search the line with LINE; turn its two groups into a Message
    found = LINE.search(line)
    if found is None:
        return None
    return Message(int(found[1]), found[2].decode(errors="replace"))
    # end of TODO 3


def messages(lines: Iterable[bytes], end: bytes) -> Iterator[Message]:
    """Our messages among `lines` of trace_pipe, in order, up to the line that contains `end`, whatever printed it."""
    # TODO 4: yield what parse() finds, skip other lines, stop at the line with `end`
    for line in lines:
        if end in line:
            return
        message = parse(line)
        if message is not None:
            yield message
    # end of TODO 4


def detach(bpf: BPF, function: bytes) -> None:
    """Detach hello_kprobe from `function` alone: its next call does not run the program; `bpf` stays usable."""
    # TODO 5: detach the kprobe from the function
    bpf.detach_kprobe(event=function, fn_name=b"hello_kprobe")
    # end of TODO 5


def trace_lines(bpf: BPF) -> Iterator[bytes]:
    """The lines of trace_pipe, as they come; there is no last one."""
    while True:
        yield bpf.trace_readline()


def start(command: list[str]) -> subprocess.Popen[bytes] | None:
    """The command, running; None if none was given."""
    try:
        return subprocess.Popen(command) if command else None
    except OSError as error:
        raise SystemExit(f"{command[0]}: {error.strerror}") from error


def mark(text: bytes) -> None:
    """Write `text` into the trace: all that was printed before comes before it."""
    Path("/sys/kernel/tracing/trace_marker").write_bytes(text + b"\n")


def mark_the_end(watched: subprocess.Popen[bytes] | None, seconds: float | None, end: bytes) -> None:
    """Wait for the command, or that many seconds; then mark the end."""
    if watched is not None:
        watched.wait()
    elif seconds is not None:
        time.sleep(seconds)
    mark(end)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    options = argparse.ArgumentParser(description="Print a line for each call of a system call, until Ctrl-C.")
    options.add_argument("--syscall", default="execve", help="system call to watch (default: execve)")
    options.add_argument("--seconds", type=float, help="stop after that many seconds, if there is no command")
    options.add_argument("command", nargs="...", help="run this command, and stop when it exits")
    chosen = options.parse_args()
    if chosen.command[:1] == ["--"]:
        del chosen.command[0]
    return chosen


def main() -> None:
    """Print a line for each call until the command exits, the time is up or Ctrl-C comes; then a summary."""
    chosen = arguments()
    begin, end = b"hello_kprobe %d begins" % os.getpid(), b"hello_kprobe %d ends" % os.getpid()
    bpf = load()
    mark(begin)
    function = attach(bpf, chosen.syscall)
    for _ in messages(trace_lines(bpf), begin):
        pass  # lines of an earlier run that were never read
    print(f"{chosen.syscall} in all processes; press Ctrl-C to stop\n{'PID':>8}  COMM", flush=True)
    watched = start(chosen.command)
    if watched is not None or chosen.seconds is not None:
        threading.Thread(target=mark_the_end, args=(watched, chosen.seconds, end), daemon=True).start()
    calls: Counter[str] = Counter()
    try:
        for message in messages(trace_lines(bpf), end):
            calls[message.comm] += 1
            print(f"{message.pid:>8}  {message.comm}", flush=True)
    except KeyboardInterrupt:
        print()
    detach(bpf, function)
    print(f"{calls.total()} calls of {chosen.syscall}")
    for comm, number in calls.most_common():
        print(f"{number:>8}  by {comm}")


if __name__ == "__main__":
    main()
