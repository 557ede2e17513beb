"""Lesson 01 against strace: the same process, the same calls, counted by ptrace instead of a kprobe."""

import os
import subprocess
import threading

import pytest

CALLS = 23


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


def call():
    for _ in range(CALLS):
        os.getppid()


def call_in_two_threads():
    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("function", "made"), [(call, CALLS), (call_in_two_threads, 2 * CALLS)])
def test_strace_counts_the_same_calls(loader, bpf, workload, trace, eventually, tmp_path, function, made):
    attached = loader.attach(bpf, "getppid")
    child = workload(function)
    pid, table, said = child.pid, tmp_path / "table", tmp_path / "said"
    with said.open("wb") as errors:
        command = ["strace", "-f", "-c", "-e", "trace=getppid", "-o", table, "-p", str(pid)]
        strace = subprocess.Popen(command, stderr=errors)
    # strace prints this when it has seized and interrupted the process: it misses no call after that
    eventually(lambda: b"attached" in said.read_bytes(), "strace to attach")
    child.run()
    assert strace.wait() == 0
    loader.detach(bpf, attached)
    ours = [message for message in loader.messages([*trace.lines(), b"the end"], b"the end") if message.pid == pid]
    reference, counted = len(ours), calls_in(table.read_text())
    print(f"reference {reference}, strace {counted}")
    assert reference == counted == made


def calls_in(table):
    """The column "calls" of strace's summary, in the line of getppid."""
    (line,) = [line for line in table.splitlines() if line.endswith(" getppid")]
    return int(line.split()[3])


def test_strace_reports_the_same_process_ids(loader, bpf, workload, trace, tmp_path):
    """A small tree of processes under strace -f; each line of strace begins with the process that made the call."""
    log = tmp_path / "log"

    def tree():
        script = "for i in 1 2 3 4 5 6 7; do /bin/true; done"
        subprocess.run(["strace", "-f", "-e", "trace=execve", "-o", log, "sh", "-c", script], check=True)

    attached = loader.attach(bpf, "execve")
    workload(tree).run()
    loader.detach(bpf, attached)
    strace = sorted(int(line.split()[0]) for line in log.read_text().splitlines() if "execve(" in line)
    messages = loader.messages([*trace.lines(), b"the end"], b"the end")
    reference = sorted(message.pid for message in messages if message.pid in strace)
    print(f"reference {len(reference)}, strace {len(strace)}")
    assert reference == strace
