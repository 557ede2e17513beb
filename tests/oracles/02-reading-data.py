"""Lesson 02 beside strace: the same calls of openat, seen by both in one run."""

import errno
import re
import subprocess
import sys

import pytest

LINE = re.compile(r'^(\d+) +openat\(.*?, "((?:\\x[0-9a-f]{2})*)"[^"]*\) += (-?\d+)(?: (E[A-Z0-9]+))?')
NAME_MAX = 63
READS = "import sys\nfor name in sys.argv[1:]:\n  try: open(name).close()\n  except OSError: pass\n"


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


def straced(line):
    """(pid, name, result) of a line that `strace -f -xx -e trace=openat -o` wrote; None for an exit or a signal."""
    found = LINE.match(line)
    if found is None:
        assert "openat" not in line, f"strace wrote a line that this test cannot read: {line}"
        return None
    pid, name, ret, error = found.groups()
    return int(pid), bytes.fromhex(name.replace("\\x", "")), -getattr(errno, error) if error else int(ret)


def test_strace_sees_the_same_calls(loader, bpf, rng, tmp_path):
    """A whole start of Python, then 23 files of which some are there.

    Both see each call of openat in the kernel. strace follows one command, the reference all processes: the process
    that strace names is compared. The reference keeps 63 bytes of a name, strace all: 63 are compared.
    """
    names = [str(tmp_path / "".join(rng.choices("äöü☃abcdefgh", k=11))) for _ in range(23)]
    for name in rng.sample(names, 11):
        open(name, "w").close()
    report = tmp_path / "strace"
    command = ["strace", "-f", "-xx", "-s", "4096", "-e", "trace=openat", "-o", report]
    loader.attach(bpf)
    subprocess.run([*command, sys.executable, "-S", "-c", READS, *names], check=True)
    for event in list(bpf.kprobe_fds):
        bpf.detach_kprobe_event(event)

    theirs = [call for call in map(straced, report.read_text().splitlines()) if call is not None]
    [pid] = {call[0] for call in theirs}
    ours = [(event.tid, event.filename, event.ret) for event in loader.returned(bpf) if event.pid == pid]
    failed = sum(ret < 0 for _, _, ret in ours), sum(ret < 0 for _, _, ret in theirs)
    print(f"calls: reference {len(ours)}, strace {len(theirs)}; failed: reference {failed[0]}, strace {failed[1]}")
    assert ours == [(tid, name[:NAME_MAX], ret) for tid, name, ret in theirs]
    assert len(ours) > len(names)
