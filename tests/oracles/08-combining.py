"""The reference of lesson 08 against strace and opensnoop, on the same processes, at the same time."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

TREE = "../../lessons/08-combining/tree.c"
CHILDREN = 3
OPENS = 23  # each child of tree.c makes as many of /dev/null


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load("c", "usleep")
    yield bpf
    bpf.cleanup()


@pytest.fixture
def log(loader, bpf):
    """What the rings have brought."""
    log = loader.Log()
    loader.open_rings(bpf, log)
    yield log
    for table in ("ended", "opens"):
        for cpu in range(os.cpu_count()):
            del bpf[table][cpu]


@pytest.fixture
def tree(loader, bpf, native):
    """A followed process of tree.c, which waits for its letters."""
    process = subprocess.Popen([native(TREE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    for letter in (b"t", b"j"):  # once it answers, its own start is over, with all the files that it opens
        process.stdin.write(letter)
        process.stdout.readline()
    loader.follow(bpf, process.pid)
    yield process
    process.kill()
    process.communicate()


def work(tree, bpf, eventually):
    """All children do their opens, then the root ends."""
    for _ in range(CHILDREN):
        tree.stdin.write(b"o")
        tree.stdout.readline()
    tree.communicate()
    eventually(lambda: len(bpf["followed"]) == 0, "all processes to be out of the map")
    bpf.perf_buffer_consume()


def test_strace_counts_the_same_opens(bpf, log, tree, tmp_path, eventually):
    summary = tmp_path / "strace.txt"
    strace = subprocess.Popen(["strace", "-q", "-c", "-f", "-e", "trace=openat", "-o", summary, "-p", str(tree.pid)])
    eventually(lambda: "TracerPid:\t0" not in Path(f"/proc/{tree.pid}/status").read_text(), "strace to be attached")
    work(tree, bpf, eventually)
    assert strace.wait() == 0
    theirs = int(re.search(r"^.*\s(\d+)\s+(?:\d+\s+)?openat$", summary.read_text(), re.MULTILINE)[1])
    ours = sum(process.opens for process in log.processes)
    print(f"opens: reference {ours}, strace -c -f {theirs}")
    assert ours == theirs == CHILDREN * OPENS


def test_opensnoop_sees_the_same_opens(bpf, log, tree, eventually):
    command = ["opensnoop-bpfcc", "--name", "tree"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    snoop = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert snoop.stdout.readline().split()[0] == "PID"
    # Its ring is opened after its heading (tools/opensnoop.py, BCC 0.31): it sees all once it waits for events.
    eventually(lambda: "poll" in Path(f"/proc/{snoop.pid}/wchan").read_text(), "opensnoop to wait for events")
    work(tree, bpf, eventually)
    seen = []
    while len(seen) < CHILDREN * OPENS:
        line = snoop.stdout.readline()
        seen += [line] if line.rstrip().endswith("/dev/null") else []
    snoop.send_signal(signal.SIGINT)
    rest, _ = snoop.communicate()
    theirs = len(seen) + rest.count("/dev/null")
    ours = sum(process.opens for process in log.processes)
    print(f"opens: reference {ours}, opensnoop {theirs}")
    assert ours == theirs
