"""Lesson 03 beside strace: the system calls of one program, counted by both in one run."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

BUSY = Path(__file__).parents[2] / "lessons/03-maps/busy.c"
ROW = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?([a-z]\w*)$", re.MULTILINE)
NUMBER = re.compile(r"^#define __NR_(\w+) (\d+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


def names():
    """Number → name of the system calls, from the C library's headers."""
    command = ["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", "/dev/null"]
    macros = subprocess.run(command, check=True, capture_output=True, text=True)
    return {int(number): name for name, number in NUMBER.findall(macros.stdout)}


def test_strace_counts_the_same_calls(loader, bpf, tmp_path):
    """A shell that becomes a program of two threads, 211 calls of getppid each.

    Both see each call in the kernel, once strace is attached to the stopped process. strace counts a call
    when it returns, the reference when it begins: exit and exit_group never return, so only the reference has them.
    """
    program, byte, table = tmp_path / "busy", tmp_path / "byte", tmp_path / "strace"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, BUSY], check=True)
    byte.write_text("!")
    pid = loader.stopped(["sh", "-c", f"exec {program} 2 211 < {byte} > /dev/null"])
    strace = subprocess.Popen(["strace", "-c", "-f", "-o", table, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    said = strace.stderr.readline()
    assert "attached" in said, said
    reports = loader.Reports(bpf)
    reports.next()
    os.kill(pid, signal.SIGCONT)
    strace.communicate()
    os.waitpid(pid, 0)

    name = names()
    ours = {name[key.number]: calls for key, calls in reports.next().items() if key.pid == pid}
    theirs = {syscall: int(calls) for calls, syscall in ROW.findall(table.read_text()) if syscall != "total"}
    print(f"calls of getppid: reference {ours['getppid']}, strace {theirs['getppid']}")
    print(f"calls in all: reference {sum(ours.values())}, strace {sum(theirs.values())}")
    never_return = {syscall: ours.pop(syscall) for syscall in ("exit", "exit_group")}
    assert never_return == {"exit": 2, "exit_group": 1}
    assert ours == theirs
