"""procscope: follow a command and all its children; when one exits, report what it opened, called and computed.

Run it as `workbook run combining -- sh -c 'ls /etc | sort'`, or outside the lab as root: `python3 loader.py COMMAND`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from bcc import BPF, PerfSWConfig, PerfType

SOURCE = Path(__file__).with_name("combining.bpf.c")
HERTZ = 99
POLL_MS = 100
PAGES = 64
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")


@dataclass(frozen=True)
class Process:
    """A followed process, from its birth to its exit. Times are in nanoseconds."""

    pid: int
    parent: int
    comm: str
    start_ns: int
    end_ns: int
    execs: int
    opens: int
    open_ns: int
    calls: int
    call_ns: int
    samples: int


@dataclass(frozen=True)
class Opened:
    """A call of openat: a file that was opened, or could not be; then result is a negative error number."""

    pid: int
    path: bytes
    """As the process passed it: any byte but 0."""
    result: int
    time_ns: int
    took_ns: int


@dataclass
class Log:
    """What the kernel has sent so far, in the order of arrival."""

    processes: list[Process] = field(default_factory=list)
    opens: list[Opened] = field(default_factory=list)
    lost: int = 0


def load(library: str = "c", function: str = "getenv") -> BPF:
    """Compile combining.bpf.c and attach all of it; count the calls of `function` of `library`."""
    bpf = BPF(src_file=os.fspath(SOURCE))
    openat = bpf.get_syscall_fnname(b"openat")
    # Returns first: a call that begins in between has a return without an entry, which is ignored.
    bpf.attach_kretprobe(event=openat, fn_name=b"openat_returns")
    bpf.attach_kprobe(event=openat, fn_name=b"syscall__openat")
    bpf.attach_uretprobe(name=library.encode(), sym=function.encode(), fn_name=b"call_returns")
    bpf.attach_uprobe(name=library.encode(), sym=function.encode(), fn_name=b"call_enters")
    bpf.attach_perf_event(
        ev_type=PerfType.SOFTWARE, ev_config=PerfSWConfig.CPU_CLOCK, fn_name=b"on_sample", sample_freq=HERTZ
    )
    return bpf


def children(pid: int) -> set[int]:
    """The living children of process `pid` (proc(5), /proc/PID/task/TID/children)."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(child) for child in task.read_text().split()}
    return found


def enter(bpf: BPF, pid: int) -> bool:
    """Put the living process `pid` into the map `followed`, as it is now; False if it is there already, or gone."""
    followed = bpf["followed"]
    key = followed.Key(pid)
    if key in followed:
        return False
    try:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return False
    process = followed.Leaf(start_ns=time.monotonic_ns(), pid=pid, parent=int(status["PPid"]))
    process.threads = int(status["Threads"])
    process.comm = status["Name"].encode()[:15]
    followed[key] = process
    return True


def follow(bpf: BPF, pid: int) -> None:
    """Follow the living process `pid` and all its descendants, including those born while this function looks."""
    raise NotImplementedError("TODO 1: enter pid, then its children, then theirs, and so on")


def open_rings(bpf: BPF, log: Log) -> None:
    """Open the rings; reading them fills `log`. Each value is copied: the ring's memory is overwritten later."""

    def on_end(cpu: int, data: Any, size: int) -> None:
        raw = bpf["ended"].event(data)
        values = {name: getattr(raw, name) for name in Process.__dataclass_fields__}
        log.processes.append(Process(**values | {"comm": raw.comm.decode(errors="replace")}))

    def on_open(cpu: int, data: Any, size: int) -> None:
        raw = bpf["opens"].event(data)
        log.opens.append(Opened(raw.pid, bytes(raw.path), raw.result, raw.time_ns, raw.took_ns))

    def on_lost(count: int) -> None:
        log.lost += count

    bpf["ended"].open_perf_buffer(on_end, page_cnt=PAGES, lost_cb=on_lost)
    bpf["opens"].open_perf_buffer(on_open, page_cnt=PAGES, lost_cb=on_lost)


def json_line(event: Process | Opened) -> str:
    """The event as one line of JSON: its fields, and "type", which is "process" or "open". A path may hold any byte.

    A byte of a path that is not valid UTF-8 appears as os.fsdecode returns it.
    """
    raise NotImplementedError("TODO 6: a dictionary of the fields and the type, the path as a string; all as JSON")


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Let the kernel count runs and run time of each BPF program while the block runs."""
    before = STATS.read_text()
    STATS.write_text("1")
    try:
        yield
    finally:
        STATS.write_text(before)


def overhead(bpf: BPF) -> tuple[int, int]:
    """Runs of our programs inside counted(), and their own time in ns; the probes around them are not in it."""
    runs = took_ns = 0
    for program in bpf.funcs.values():
        info = dict(line.split(":\t", 1) for line in Path(f"/proc/self/fdinfo/{program.fd}").read_text().splitlines())
        runs += int(info["run_cnt"])
        took_ns += int(info["run_time_ns"])
    return runs, took_ns


def hold(command: list[str]) -> tuple[int, int]:
    """Fork a process that becomes `command` once a byte is written to its pipe; return its pid and the pipe."""
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


HEADING = (
    f"{'PID':>8} {'PPID':>8}  {'COMM':<16} {'WALL(ms)':>9} {'CPU(ms)':>8} {'OPENS':>6} {'AVG(us)':>8} {'CALLS':>6}"
)


def row(process: Process) -> str:
    """The process as a line under HEADING."""
    wall_ms = (process.end_ns - process.start_ns) / 1e6
    cpu_ms = process.samples * 1000 / HERTZ  # no finer than a tick, 10.1 ms
    average_us = process.open_ns / process.opens / 1e3 if process.opens else 0.0
    return (
        f"{process.pid:>8} {process.parent:>8}  {process.comm:<16} {wall_ms:>9.1f} {cpu_ms:>8.0f} "
        f"{process.opens:>6} {average_us:>8.1f} {process.calls:>6}"
    )


def shown(path: bytes) -> str:
    """A path for the screen: what is not printable is escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in os.fsdecode(path)
    )


def watch(bpf: BPF, log: Log, done: Callable[[], bool], show: Callable[[Process | Opened], None]) -> None:
    """Show what arrives until done() is true, with all that was sent by then; each poll's events in order of time."""
    last = False
    while not last:
        last = done()
        bpf.perf_buffer_poll(timeout=1 if last else POLL_MS)
        arrived: list[Process | Opened] = [*log.opens, *log.processes]
        log.opens.clear()
        log.processes.clear()
        for event in sorted(arrived, key=lambda event: event.end_ns if isinstance(event, Process) else event.time_ns):
            show(event)


def procscope(
    command: Annotated[list[str] | None, typer.Argument(help="run this and follow it", metavar="[COMMAND]...")] = None,
    pid: Annotated[int | None, typer.Option(help="follow this running process")] = None,
    files: Annotated[bool, typer.Option("--files", help="show each file as it is opened")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON lines")] = False,
    call: Annotated[str, typer.Option(help="count this library function", metavar="LIBRARY:FUNCTION")] = "c:getenv",
    seconds: Annotated[float | None, typer.Option(help="stop after that many seconds")] = None,
) -> None:
    """Follow a command and all its children; print a line for each process when it exits."""
    if bool(command) == (pid is not None):
        raise typer.BadParameter("give either a command to run, or --pid")
    root, pipe = hold(command) if command else (pid or 0, -1)
    bpf = load(*call.split(":", 1))
    log = Log()
    open_rings(bpf, log)
    follow(bpf, root)
    number = 0
    begin = time.monotonic()
    interrupts: list[int] = []
    # Not as KeyboardInterrupt: raised inside a callback, that would be lost.
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))

    def show(event: Process | Opened) -> None:
        nonlocal number
        number += isinstance(event, Process)
        if as_json:
            print(json_line(event), flush=True)
        elif isinstance(event, Process):
            print(row(event), flush=True)
        elif files:
            print(f"{event.pid:>8} {event.result:>8}  {shown(event.path)}", flush=True)

    def done() -> bool:
        if seconds is not None and time.monotonic() - begin > seconds:
            return True
        if interrupts:
            print(file=sys.stderr)  # what follows begins on a new line after the terminal's ^C
            return True
        return len(bpf["followed"]) == 0

    if not as_json:
        print(HEADING, flush=True)
    with counted():
        if command:
            os.write(pipe, b"!")
        watch(bpf, log, done, show)
        runs, took_ns = overhead(bpf)
    each = took_ns / runs if runs else 0
    print(
        f"{number} process{'es' * (number != 1)}, {log.lost} events lost; "
        f"our programs ran {runs} times, {each:.0f} ns each on average, without the probes around them",
        file=sys.stderr if as_json else sys.stdout,
    )


def main() -> None:
    """The command line."""
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(procscope)
    app()


if __name__ == "__main__":
    main()
