"""Lesson 09 against two others on the same workload: strace, and the kernel's own trace of the same tracepoint."""

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

OPENS = 211
BURST = 307  # more than the 255 that fit; strace stops the process at each system call, so no more than needed
INSTANCE = Path("/sys/kernel/tracing/instances/workbook-oracle")
ONLINE = sorted(os.sched_getaffinity(0))
STRACED = re.compile(r'openat\(AT_FDCWD(?:<[^>]*>)?, "([^"]*)", (\w+)')
TRACED = re.compile(r"-(\d+) +\[(\d+)\] .*: sys_openat\(")
WRITING = {"O_RDONLY": False, "O_WRONLY": True, "O_RDWR": True}


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def log(loader, bpf):
    """The loader's Log, its ring open; opened once, so that no test loses the callback of another."""
    log = loader.Log(bpf)
    loader.open_ring(log)
    return log


@pytest.fixture
def process(loader, bpf, log, workload, rng):
    """`process(n)`: a process, waiting, that will try to open n files on these CPUs, every third one for writing."""

    def start(number, cpus=ONLINE):
        uid, folder = rng.randrange(20_000, 60_000), "/nowhere-" + "".join(rng.choices("abcdefgh", k=12))
        loader.want(bpf, uid, folder)
        bpf.ring_buffer_consume()
        log.accesses.clear()

        def work():
            os.setuid(uid)
            for n in range(number):
                if cpus:
                    os.sched_setaffinity(0, {cpus[n % len(cpus)]})
                with suppress(OSError):
                    os.close(os.open(f"{folder}/{n}", os.O_WRONLY if n % 3 == 0 else os.O_RDONLY))

        return workload(work)

    return start


@pytest.fixture
def strace(tmp_path, eventually):
    """`strace(pid, ...)`: strace looks at the process; a function that waits for it and returns its lines."""

    def attach(pid, *options):
        output = tmp_path / "strace"
        command = ["strace", "-qq", "-f", *options, "-e", "trace=openat", "-e", "signal=none", "-o", output]
        watching = subprocess.Popen([*command, "-p", str(pid)])
        status = Path(f"/proc/{pid}/status")
        eventually(lambda: "TracerPid:\t0\n" not in status.read_text(), "strace to look at the process")

        def lines():
            assert watching.wait() == 0
            return output.read_text().splitlines()

        return lines

    return attach


@pytest.fixture
def kernels_trace():
    """The kernel writes each openat into a separate buffer; a function that reads it."""
    INSTANCE.mkdir()
    (INSTANCE / "trace_clock").write_text("mono")
    (INSTANCE / "events/syscalls/sys_enter_openat/enable").write_text("1")
    yield lambda: TRACED.findall((INSTANCE / "trace").read_text())
    (INSTANCE / "events/syscalls/sys_enter_openat/enable").write_text("0")
    INSTANCE.rmdir()


def test_strace_sees_the_same_opens_in_the_same_order(loader, log, process, strace):
    one = process(OPENS)
    lines = strace(one.pid)
    one.run()
    seen = [STRACED.search(line).groups() for line in lines()]
    seen = [(path, WRITING[mode]) for path, mode in seen if path.startswith("/nowhere-")]
    loader.collect(log, lambda: True)
    reference = [(access.path, access.writes) for access in log.accesses if access.pid == one.pid]
    print(f"reference {len(reference)}, strace {len(seen)}")
    assert reference == seen
    assert len(seen) == OPENS


def test_received_and_dropped_are_what_strace_counts(loader, bpf, log, process, strace):
    """strace -c counts calls, and prints no line for each: the burst is too much for the ring all the same."""
    before, one = loader.dropped(bpf), process(BURST, cpus=())
    lines = strace(one.pid, "-c")
    one.run()
    [row] = [line.split() for line in lines() if line.endswith(" openat")]
    counted = int(row[3])
    loader.collect(log, lambda: True)
    received, lost = len(log.accesses), loader.dropped(bpf) - before
    print(f"reference {received} received + {lost} dropped, strace {counted}")
    assert lost > 0
    assert received + lost == counted == BURST


def test_the_kernels_trace_has_the_same_cpus_in_the_same_order(loader, log, process, kernels_trace):
    """The trace is sorted by the time of its entries, over the buffers of all CPUs; the ring is not sorted at all."""
    one = process(OPENS)
    one.run()
    trace = [int(cpu) for pid, cpu in kernels_trace() if int(pid) == one.pid]
    loader.collect(log, lambda: True)
    reference = [access.cpu for access in log.accesses if access.pid == one.pid]
    print(f"reference {len(reference)}, the kernel's trace {len(trace)}")
    assert reference == trace
    assert len(trace) == OPENS
