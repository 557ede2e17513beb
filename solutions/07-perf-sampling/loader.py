"""Sample where a program spends its time; write folded stacks and a speedscope file.

Run it as `workbook run perf-sampling --artefacts . -- COMMAND`, or outside the lab as root: `python3 loader.py ls /`.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcc import BPF, PerfSWConfig, PerfType

SOURCE = Path(__file__).with_name("perf_sampling.bpf.c")
SCHEMA = "https://www.speedscope.app/file-format-schema.json"
NO_STACK = -errno.EFAULT
"""What get_stackid returns for no stack, or none that can be walked: a sample in user space has none in the kernel."""
LOST = "[lost]"
"""Stands for a stack that the kernel did not keep: any other negative number."""
KERNEL = "_[k]"
"""Follows the name of each function of the kernel."""


@dataclass(frozen=True)
class Sample:
    """What the clock found, and how often."""

    pid: int
    comm: str
    user: int
    """Number of the process's user stack, or a negative error."""
    kernel: int
    """Number of the kernel stack, or a negative error."""
    count: int


def load() -> BPF:
    """Compile perf_sampling.bpf.c; no clock runs yet."""
    return BPF(src_file=str(SOURCE))


def choose(bpf: BPF, pid: int) -> None:
    """Let only process `pid` count; 0: every process."""
    bpf["only"][ctypes.c_int(0)] = ctypes.c_uint32(pid)


def attach(bpf: BPF, hz: int) -> None:
    """Run on_sample `hz` times a second on each CPU, also on a machine without hardware counters."""
    # TODO 1: attach on_sample to the kernel's software clock of the CPU, by frequency
    kind, clock = PerfType.SOFTWARE, PerfSWConfig.CPU_CLOCK
    bpf.attach_perf_event(ev_type=kind, ev_config=clock, fn_name=b"on_sample", sample_freq=hz)
    # end of TODO 1


def samples(bpf: BPF) -> list[Sample]:
    """Everything counted until now."""
    found = bpf["counts"].items()
    return [Sample(key.pid, text_of(key.comm), key.user, key.kernel, count.value) for key, count in found]


def functions(bpf: BPF, number: int, name: Callable[[int], bytes]) -> list[str]:
    """The functions of a stack, the outermost first, as strings.

    `name` returns the function at an address, as bytes, which are decoded here.
    If the number is an error: no functions for NO_STACK, only LOST for any other.
    """
    # TODO 5: handle errors; walk stack `number`, which is innermost first; name each address
    if number < 0:
        return [] if number == NO_STACK else [LOST]
    addresses = list(bpf["stacks"].walk(number))
    return [text_of(name(address)) for address in reversed(addresses)]
    # end of TODO 5


def folded(bpf: BPF) -> dict[str, int]:
    """Line → samples. A line is the comm, the process's functions, the kernel's (with KERNEL), joined by semicolons."""
    lines: Counter[str] = Counter()
    # TODO 6: add up the lines of samples(bpf); user and kernel names come from two calls
    for sample in samples(bpf):
        user = functions(bpf, sample.user, lambda address: bpf.sym(address, sample.pid))  # noqa: B023 - called at once
        kernel = [name + KERNEL for name in functions(bpf, sample.kernel, bpf.ksym)]
        lines[";".join([sample.comm, *user, *kernel])] += sample.count
    # end of TODO 6
    return dict(lines)


def speedscope(lines: dict[str, int], hz: int, title: str) -> dict[str, Any]:
    """The lines as one sampled profile of a speedscope file, in seconds: a sample at `hz` stands for 1/hz s."""
    names: dict[str, int] = {}
    stacks: list[list[int]] = []
    weights: list[float] = []
    # TODO 7: fill stacks with the numbers of their frames in names, weights with seconds
    for line, count in lines.items():
        stacks.append([names.setdefault(frame, len(names)) for frame in line.split(";")])
        weights.append(count / hz)
    # end of TODO 7
    profile = {
        "type": "sampled",
        "name": title,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": stacks,
        "weights": weights,
    }
    return {"$schema": SCHEMA, "shared": {"frames": [{"name": name} for name in names]}, "profiles": [profile]}


def text_of(name: bytes) -> str:
    """A name as a string; a semicolon in it would look like another frame."""
    return name.decode(errors="replace").replace(";", ":")


def tree(lines: dict[str, int], least: float) -> list[str]:
    """Callers and callees, indented: every function with a share of at least `least`, the largest first."""
    weight: Counter[tuple[str, ...]] = Counter()
    for line, count in lines.items():
        frames = tuple(line.split(";"))
        for depth in range(1, len(frames) + 1):
            weight[frames[:depth]] += count
    total = sum(lines.values())

    def below(path: tuple[str, ...]) -> Iterator[str]:
        calls = [call for call in weight if call[:-1] == path and weight[call] >= least * total]
        for call in sorted(calls, key=lambda call: (-weight[call], call)):
            yield f"{100 * weight[call] / total:>9.1f}  {'  ' * len(path)}{call[-1]}"
            yield from below(call)

    return [f"{'SHARE (%)':>9}  FUNCTION", *below(())]


def hold(command: list[str]) -> tuple[int, Callable[[], None]]:
    """Fork a process that becomes `command` once it is released; return its pid, and the function that releases it."""
    wait, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        os.read(wait, 1)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
            os._exit(127)
    return pid, lambda: os.close(release)


def ended(pid: int) -> bool:
    """Whether our child has exited; it stays a zombie."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def main() -> None:
    """Sample until Ctrl-C, the exit of the command, or --seconds; then print what was found and write the files."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hz", type=int, default=99, help="samples a second on each CPU (default: 99)")
    options.add_argument("--seconds", type=float, default=float("inf"), help="stop after that many seconds")
    options.add_argument("--least", type=float, default=2, help="smallest share to show, in percent (default: 2)")
    options.add_argument("--pid", type=int, default=0, help="this process only (default: every process)")
    options.add_argument("--output", type=Path, default=Path(os.environ.get("WORKBOOK_ARTEFACTS", ".")), metavar="DIR")
    options.add_argument("command", nargs=argparse.REMAINDER, help="run it, sample it alone, stop when it exits")
    given = options.parse_args()
    bpf = load()
    child, release = hold(given.command) if given.command else (0, lambda: None)
    pid = child or given.pid
    choose(bpf, pid)
    bpf.ksym(0)  # reads the kernel's names once, before the clock can sample this process doing so
    attach(bpf, given.hz)
    release()
    whom = " ".join(given.command) or (f"process {pid}" if pid else "every process")
    print(f"sampling {whom} at {given.hz} Hz; press Ctrl-C to stop", flush=True)
    end = time.monotonic() + given.seconds
    lines: dict[str, int] = {}
    try:
        while time.monotonic() < end and not (child and ended(child)):
            time.sleep(0.5)
            lines = folded(bpf)
            if sys.stdout.isatty():
                print("\033[H\033[J" + "\n".join(tree(lines, given.least / 100)), flush=True)
    except KeyboardInterrupt:
        pass
    lines = folded(bpf)
    bpf.cleanup()
    if child and not ended(child):
        os.kill(child, signal.SIGTERM)
    print("\033[H\033[J" * sys.stdout.isatty() + "\n".join(tree(lines, given.least / 100)))
    total, lost = sum(lines.values()), sum(count for line, count in lines.items() if LOST in line)
    print(f"{total} samples, {total / given.hz:.2f} s of CPU time; {lost} with a stack that was lost")
    write(given.output, lines, given.hz, whom)


def write(folder: Path, lines: dict[str, int], hz: int, title: str) -> None:
    """Write profile.folded and profile.speedscope.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line} {count}\n" for line, count in sorted(lines.items()))
    for name, content in (
        ("profile.folded", text),
        ("profile.speedscope.json", json.dumps(speedscope(lines, hz, title))),
    ):
        (folder / name).write_text(content)
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
