"""Lesson 04 against two others on the same workload: strace, and the kernel's own trace of the same tracepoint."""

import os
import re
import subprocess
from pathlib import Path

import pytest

EXECS = 23
INSTANCE = Path("/sys/kernel/tracing/instances/workbook-oracle")
SUCCESS = re.compile(r"^\d+ +execve\(\"([^\"]+)\".*\) = 0$")
TRACED = re.compile(r" \[(\d+)\] .*sched_process_exec: filename=(\S+) pid=(\d+) ")
ONLINE = sorted(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def stream(loader, bpf):
    stream = loader.Stream(bpf)
    loader.open_rings(stream)
    yield stream
    for cpu in range(os.cpu_count()):
        del bpf["events"][cpu]


@pytest.fixture
def kernels_trace():
    """The kernel writes the tracepoint into a separate buffer; a function that reads it."""
    INSTANCE.mkdir()
    (INSTANCE / "trace_clock").write_text("mono")
    (INSTANCE / "events/sched/sched_process_exec/enable").write_text("1")
    yield lambda: TRACED.findall((INSTANCE / "trace").read_text())
    (INSTANCE / "events/sched/sched_process_exec/enable").write_text("0")
    INSTANCE.rmdir()


def chain():
    """A command that becomes taskset 22 times, each on another CPU than the one before, then true."""
    command = []
    for n in range(EXECS - 1):
        command += ["taskset", "-c", str(ONLINE[n % len(ONLINE)])]
    return [*command, "true"]


def test_strace_sees_the_same_programs(loader, stream, tmp_path):
    """strace prints every attempt: the failed ones, on the way along PATH, became no program and made no event."""
    output = tmp_path / "strace"
    process = subprocess.Popen(
        ["strace", "-qq", "-f", "-e", "trace=execve,execveat", "-e", "signal=none", "-o", output, *chain()],
        env={"PATH": "/nowhere:/usr/bin:/bin"},
    )
    assert process.wait() == 0
    loader.collect(stream, lambda: True)
    lines = output.read_text().splitlines()
    pid = int(lines[0].split()[0])
    strace = [os.path.basename(found[1]) for found in map(SUCCESS.match, lines) if found]
    reference = [event.comm for event in loader.take(stream, loader.FOREVER_NS) if event.pid == pid]
    reference = [name for name in reference if name != "strace"]
    failed = len(lines) - len(strace)
    print(f"reference {len(reference)}, strace {len(strace)} (and {failed} attempts that failed)")
    assert reference == strace
    assert len(strace) == EXECS


def test_the_kernels_trace_has_the_same_order_and_cpus(loader, stream, kernels_trace):
    process = subprocess.Popen(chain())
    assert process.wait() == 0
    loader.collect(stream, lambda: True)
    trace = [(int(cpu), os.path.basename(name)) for cpu, name, pid in kernels_trace() if int(pid) == process.pid]
    reference = [
        (event.cpu, event.comm) for event in loader.take(stream, loader.FOREVER_NS) if event.pid == process.pid
    ]
    print(f"reference {len(reference)}, the kernel's trace {len(trace)}")
    assert reference == trace
    assert len(trace) == EXECS
