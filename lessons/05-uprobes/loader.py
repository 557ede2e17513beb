"""Watch one function in one process: each call, its result, how long it took; or Python's audit events.

Run it as `workbook run uprobes -- cat /etc/hostname`, or outside the lab as root: `python3 loader.py --pid 812`.
"""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bcc import BPF, USDT

SOURCE = Path(__file__).with_name("uprobes.bpf.c")


@dataclass(frozen=True)
class Call:
    """One call that has returned."""

    pid: int
    tid: int
    returned: int
    latency_ns: int
    """From entry to return; 0 if the entry was not seen, as when the call began before the probes came."""
    text: str
    """The first argument, if it is a string; the kernel program cuts it at 35 bytes."""


@dataclass(frozen=True)
class Audit:
    """One audit event of a Python process."""

    pid: int
    name: str


def load() -> BPF:
    """Compile uprobes.bpf.c; nothing is attached yet."""
    return BPF(src_file=str(SOURCE))


def find(library: str, function: str, pid: int) -> bytes:
    """The file that process `pid` uses as `library` ("c": libc; a path: itself); LookupError names what is missing."""
    path = library.encode() if "/" in library else BPF.find_library(library.encode(), pid)
    if path is None:
        raise LookupError(f"process {pid} has no library {library!r}: give its path")
    if not Path(os.fsdecode(path)).exists():
        raise LookupError(f"there is no file {library}")
    if not BPF.get_user_functions(path, b"^%s$" % function.encode()):
        raise LookupError(f"{path.decode()} has no function {function!r}")
    return path


def attach(bpf: BPF, library: str, function: str, pid: int) -> bytes:
    """Run hello_uprobe and hello_uretprobe around each call of `function` in process `pid` alone; return the file."""
    path = find(library, function, pid)
    raise NotImplementedError("TODO 1: attach hello_uretprobe, then hello_uprobe, there and for that process only")
    return path


def listen(bpf: BPF, report: Callable[[Call], object]) -> None:
    """Pass each call to `report` when the buffer is polled."""

    def receive(_cpu: int, data: object, _size: int) -> None:
        e = bpf["calls"].event(data)
        report(Call(e.pid, e.tid, e.returned, e.latency_ns, e.text.decode(errors="replace")))

    bpf["calls"].open_perf_buffer(receive, page_cnt=64, lost_cb=report_loss)


def report_loss(count: int) -> None:
    """Say on standard error how many events did not fit into the buffer."""
    print(f"{count} lost", file=sys.stderr)


def load_audit(pid: int) -> tuple[BPF, USDT]:
    """Run hello_audit at each python:audit of process `pid`; return the program, and the USDT that keeps it enabled."""
    raise NotImplementedError("TODO 6: enable python:audit in a USDT of the process; compile with it and -DAUDIT")


def listen_audit(bpf: BPF, report: Callable[[Audit], object]) -> None:
    """Pass each audit event to `report` when the buffer is polled."""

    def receive(_cpu: int, data: object, _size: int) -> None:
        e = bpf["audits"].event(data)
        report(Audit(e.pid, e.name.decode(errors="replace")))

    bpf["audits"].open_perf_buffer(receive, lost_cb=report_loss)


class Held:
    """A child process that waits for `go()`, so that probes are attached before the command's first instruction."""

    def __init__(self, run: Callable[[], object]) -> None:
        gate, self._gate = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            os._exit(self._child(run, gate))
        os.close(gate)

    @staticmethod
    def _child(run: Callable[[], object], gate: int) -> int:
        try:
            if not os.read(gate, 1):
                return 1
            run()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
        except KeyboardInterrupt:
            return 130
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 1
        finally:
            sys.stdout.flush()
        return 0

    def go(self) -> None:
        os.write(self._gate, b"!")

    def close(self) -> None:
        """Let it exit if it still waits, and reap it."""
        os.close(self._gate)
        if alive(self.pid):
            os.waitpid(self.pid, 0)


def alive(pid: int) -> bool:
    """Whether process `pid` still runs; a child of ours that has exited is reaped."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists()


def follow(bpf: BPF, pid: int) -> None:
    """Poll until the process has exited, or Ctrl-C; then once more for what is left."""
    interrupts: list[int] = []
    # Not as KeyboardInterrupt: raised inside a callback, that would be lost.
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    while alive(pid) and not interrupts:
        bpf.perf_buffer_poll(timeout=100)
    bpf.perf_buffer_poll(timeout=0)
    signal.signal(signal.SIGINT, before)
    if interrupts:
        print()


def show_calls(library: str, function: str, pid: int, go: Callable[[], None]) -> None:
    """Print a line for each call, a summary at the end."""
    seen: list[Call] = []

    def show(call: Call) -> None:
        seen.append(call)
        latency = f"{call.latency_ns / 1000:.1f}" if call.latency_ns else "?"
        print(f"{call.tid:>8} {latency:>13} {call.returned:>11}  {call.text}", flush=True)

    with load() as bpf:
        path = attach(bpf, library, function, pid)
        listen(bpf, show)
        print(f"{function} in {path.decode()}, pid {pid} only; press Ctrl-C to stop")
        print(f"{'TID':>8} {'LATENCY(us)':>13} {'RETURNED':>11}  FIRST ARGUMENT", flush=True)
        go()
        follow(bpf, pid)
    total_us = sum(call.latency_ns for call in seen) / 1000
    print(f"{len(seen)} call{'s' * (len(seen) != 1)} of {function} took {total_us:.1f} us in all")


def show_audits(pid: int, go: Callable[[], None]) -> None:
    """Print a line for each audit event, a summary at the end."""
    seen: Counter[str] = Counter()

    def show(audit: Audit) -> None:
        seen[audit.name] += 1
        print(f"{audit.pid:>8}  {audit.name}", flush=True)

    bpf, usdt = load_audit(pid)
    with bpf:
        listen_audit(bpf, show)
        print(f"audit events of pid {pid}; press Ctrl-C to stop")
        print(f"{'PID':>8}  EVENT", flush=True)
        go()
        follow(bpf, pid)
    del usdt
    by_name = ", ".join(f"{n} {name}" for name, n in seen.most_common())
    print(f"{seen.total()} audit event{'s' * (seen.total() != 1)}: {by_name or 'none'}")


def main() -> None:
    """Watch a running process, or a command from its first instruction to its end."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--library", default="c", help="library, as in -lNAME, or path of a program (default: c)")
    options.add_argument("--function", default="open", help="function to watch (default: open)")
    options.add_argument("--audit", action="store_true", help="audit events of Python instead; COMMAND is a module")
    options.add_argument("--pid", type=int, help="a running process")
    options.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="or a command to run and watch (default: cat)"
    )
    arguments = sys.argv[1:]
    given = options.parse_args(arguments[arguments[:1] == ["--"] :])
    if given.command[:1] == ["--"]:
        given.command.pop(0)
    if given.pid is not None and given.command:
        options.error("give --pid or a command, not both")
    command = given.command or (["calendar"] if given.audit else ["cat", "/etc/hostname"])

    def run() -> None:
        sys.argv = command
        if given.audit:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        else:
            os.execvp(command[0], command)

    held = Held(run) if given.pid is None else None
    pid, go = (held.pid, held.go) if held else (given.pid, lambda: None)
    try:
        if given.audit:
            show_audits(pid, go)
        else:
            show_calls(given.library, given.function, pid, go)
    except LookupError as error:
        sys.exit(f"uprobes: {error}")
    finally:
        if held:
            held.close()


if __name__ == "__main__":
    main()
