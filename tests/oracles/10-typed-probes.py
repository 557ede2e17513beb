"""Lesson 10 against three others on the same workload: strace, /proc/locks, and the kernel's own trace."""

import fcntl
import os
import re
import struct
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

CALLS = 101
SLEEPERS = 23
INSTANCE = Path("/sys/kernel/tracing/instances/workbook-oracle")
EVENT = INSTANCE / "events/filelock/posix_lock_inode"
STRACED = re.compile(
    r"^(\d+) .*fcntl\((\d+)(?:<[^>]*>)?, (F_\w+), "
    r"\{l_type=(F_\w+), l_whence=SEEK_SET, l_start=(-?\d+), l_len=(-?\d+).*\}\) += (-?\d+)(?: (E\w+))?"
)
TRACED = re.compile(r"-(\d+) +\[\d+\] .*: posix_lock_inode: .*\bret=(-?\d+)")
KINDS = {"F_RDLCK": 0, "F_WRLCK": 1, "F_UNLCK": 2}
ERRORS = {None: 0, "EAGAIN": -11, "EACCES": -13, "EBADF": -9, "EINVAL": -22}


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def ring(loader, bpf):
    return loader.Events(bpf)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    return path


def request(fd, command, kind, start, length):
    with suppress(OSError):
        fcntl.fcntl(fd, command, struct.pack("@hhqqi4x", kind, os.SEEK_SET, start, length, 0))


@pytest.fixture
def strace(tmp_path, eventually):
    """`strace(pid)`: strace looks at the process; a function that waits for it and returns its lines."""

    def attach(pid):
        output = tmp_path / "strace"
        command = ["strace", "-qq", "-f", "-e", "trace=fcntl", "-e", "signal=none", "-o", output, "-p", str(pid)]
        watching = subprocess.Popen(command)
        status = Path(f"/proc/{pid}/status")
        eventually(lambda: "TracerPid:\t0\n" not in status.read_text(), "strace to look at the process")

        def lines():
            assert watching.wait() == 0
            return output.read_text().splitlines()

        return lines

    return attach


@pytest.fixture
def kernels_trace():
    """The kernel writes each attempt to set a lock into a separate buffer; a function that reads it."""
    INSTANCE.mkdir()
    (EVENT / "enable").write_text("1")
    yield lambda: TRACED.findall((INSTANCE / "trace").read_text())
    (EVENT / "enable").write_text("0")
    INSTANCE.rmdir()


def test_strace_sees_the_same_calls(ring, path, workload, strace, rng):
    """Two processes want parts of one file, one of them without waiting: some of its calls fail."""
    commands = [fcntl.F_SETLK, fcntl.F_OFD_SETLK]
    asked = [
        (rng.choice(commands), rng.choice([0, 1, 2]), rng.randrange(1 << 40), rng.randrange(99)) for _ in range(CALLS)
    ]
    with path.open("r+b") as holder:
        request(holder.fileno(), fcntl.F_OFD_SETLK, fcntl.F_WRLCK, 1 << 39, 0)

        def work():
            with path.open("r+b") as file:
                for one in asked:
                    request(file.fileno(), *one)

        process = workload(work)
        lines = strace(process.pid)
        ring.read()
        process.run()
    found = [match.groups() for match in map(STRACED.search, lines()) if match]
    theirs = [(int(fd), KINDS[kind], int(start), int(n), ERRORS[error]) for _, fd, _, kind, start, n, _, error in found]
    events = [event for event in ring.read() if event.pid == process.pid]
    ours = [(event.fd, event.type, event.start, event.length, event.result) for event in events]
    failed = sum(result != 0 for *_, result in theirs)
    print(f"reference {len(ours)} calls, strace {len(theirs)}; {failed} of them failed")
    assert ours == theirs
    assert len(theirs) == CALLS
    assert 0 < failed < CALLS


def test_the_kernel_lists_the_same_sleepers(ring, path, workload, eventually, kernels_trace):
    """Each thread wants another byte. Linux 5.10 lists no sleeper that waits for another sleeper's lock."""

    def work():
        def one(n):
            with path.open("r+b") as file:
                request(file.fileno(), fcntl.F_OFD_SETLKW, fcntl.F_WRLCK, n, 1)

        threads = [threading.Thread(target=one, args=(n,)) for n in range(SLEEPERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def listed():
        return sum("->" in row for row in Path("/proc/locks").read_text().splitlines())

    process = workload(work)
    ring.read()
    with ExitStack() as held:
        holder = held.enter_context(path.open("r+b"))
        request(holder.fileno(), fcntl.F_OFD_SETLK, fcntl.F_WRLCK, 0, 0)
        process.start()
        eventually(lambda: listed() == SLEEPERS, f"{SLEEPERS} sleepers in /proc/locks")
        asleep = listed()
    process.wait()
    events = [event for event in ring.read() if event.pid == process.pid]
    waits = {event.tid for event in events if event.result is None}
    returns = {event.tid for event in events if event.result == 0}
    deferred = [int(tid) for tid, result in kernels_trace() if result == "1"]
    print(
        f"reference {len(waits)} waits and {len(returns)} returns, /proc/locks {asleep} sleepers, "
        f"the kernel's trace {len(set(deferred))} threads in {len(deferred)} attempts"
    )
    assert waits == returns == set(deferred)
    assert len(events) == 2 * SLEEPERS
    assert asleep == SLEEPERS
