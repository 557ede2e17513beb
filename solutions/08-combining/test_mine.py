"""Your test of lesson 08: a process that is killed in the middle of a call leaves nothing behind in the maps."""

import os
import signal
import subprocess

import pytest


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached; the library function that it counts is usleep."""
    bpf = loader.load("c", "usleep")
    yield bpf
    bpf.cleanup()


@pytest.fixture
def sleeper(bpf, loader, native, eventually):
    """The pid of a followed process that is inside usleep."""
    tree = subprocess.Popen([native("tree.c")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    loader.follow(bpf, tree.pid)
    tree.stdin.write(b"u")
    pid = int(tree.stdout.readline())
    eventually(lambda: len(bpf["calling"]) == 1, "the process to be inside usleep")
    yield pid
    tree.communicate()


@pytest.mark.step(4)
def test_a_killed_process_leaves_nothing_in_flight(bpf, sleeper, eventually):
    # TODO 4: kill the sleeper, wait until it is out of followed; calling is then empty
    os.kill(sleeper, signal.SIGKILL)
    eventually(lambda: bpf["followed"].Key(sleeper) not in bpf["followed"], "the process to end")
    left = len(bpf["calling"])
    assert left == 0, f"a process was killed inside usleep; entries left in calling: {left}, expected 0"
    # end of TODO 4
