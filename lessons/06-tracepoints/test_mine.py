"""Your test of lesson 06: it says what TODO 5 has to do, before you write that."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def newborn(bpf, workload, eventually):
    """A process made after the probes were attached: it has slept and been woken once, and now sleeps for good."""
    rest, hold = os.pipe()
    child = workload(lambda: os.read(rest, 1))
    syscall = Path(f"/proc/{child.pid}/syscall")  # "running", or a system call and its arguments: proc_pid_syscall(5)
    eventually(lambda: len(syscall.read_text().split()) > 1, "the new process to sleep before its work")
    child.start()
    eventually(lambda: syscall.read_text().split()[1:2] == [hex(rest)], "the new process to sleep for good")
    yield child
    os.close(rest)
    os.close(hold)


def kernels_count(pid):
    """How often the process has waited for a CPU since it began, as the kernel counts it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[2])


@pytest.mark.step(4)
def test_a_new_process_has_waited_as_often_as_the_kernel_says(loader, bpf, newborn):
    raise NotImplementedError("TODO 4: loader.waits() has as many waits of newborn as the kernel; no entry counts as 0")
