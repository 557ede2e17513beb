"""Lesson 01: what a kprobe that says hello has to do."""

import contextlib
import os
import threading
from types import SimpleNamespace

import pytest

from harness.guest.observing import kernel as this_kernel

CALLS = 23
HEADER = b"          python3-812     [001] ...21  1094.300131: bpf_trace_printk: "
OURS = HEADER + b"hello from pid=12 comm="


@pytest.fixture(scope="module", autouse=True)
def probes_of_others():
    """What was attached before the loader was imported."""
    return this_kernel.kprobes()


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def attached(loader, bpf):
    """hello_kprobe on getppid, for one test."""
    yield loader.attach(bpf, "getppid")
    take_off(bpf)


def take_off(bpf):
    """Detach whatever the loader attached."""
    for event in list(bpf.kprobe_fds):
        bpf.detach_kprobe_event(event)


def call_getppid():
    for _ in range(CALLS):
        os.getppid()


def lines_of(pid, lines):
    """The lines that our program printed for one process."""
    return [line for line in lines if b"hello from pid=%d " % pid in line]


@pytest.mark.step(1)
def test_nothing_is_attached_before_attach(probes_of_others, bpf, kernel):
    early = list(kernel.kprobes() - probes_of_others)
    assert early == [], "a probe was attached before attach() was called"


@pytest.mark.step(1)
def test_the_kernel_names_the_function(loader):
    attached = []
    bpf = SimpleNamespace(
        get_syscall_fnname=lambda name: b"__other_machine_sys_" + name,
        attach_kprobe=lambda event, fn_name: attached.append((event, fn_name)),
    )
    name = loader.attach(bpf, "getppid")
    assert attached == [(b"__other_machine_sys_getppid", b"hello_kprobe")], "attached to something else, or not once"
    assert name == b"__other_machine_sys_getppid"


@pytest.mark.step(1)
@pytest.mark.parametrize("syscall", ["openat", "execve"])
def test_the_probe_is_on_that_function(loader, bpf, kernel, syscall):
    before = kernel.kprobes()
    loader.attach(bpf, syscall)
    added = kernel.kprobes() - before
    take_off(bpf)
    assert added == {bpf.get_syscall_fnname(syscall.encode()).decode(): 1}


@pytest.mark.step(2)
def test_each_call_prints_one_line(attached, workload, trace):
    child = workload(call_getppid)
    pid = child.pid
    child.run()
    printed = len(lines_of(pid, trace.lines()))
    assert printed == CALLS, f"{CALLS} calls of getppid printed {printed} lines of that process"


@pytest.mark.step(2)
def test_a_thread_prints_the_process_id(attached, workload, trace):
    def in_a_thread():
        thread = threading.Thread(target=call_getppid)
        thread.start()
        thread.join()

    child = workload(in_a_thread)
    pid = child.pid
    child.run()
    printed = len(lines_of(pid, trace.lines()))
    assert printed == CALLS, f"{CALLS} calls from a second thread printed {printed} lines with the process id"


@pytest.mark.step(2)
def test_the_line_names_the_command(attached, workload, trace, rng):
    name = "".join(rng.choices("abcdefgh", k=11))

    def renamed():
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
        os.getppid()

    child = workload(renamed)
    pid = child.pid
    child.run()
    named = [line.rsplit(b"comm=")[-1].decode() for line in lines_of(pid, trace.lines())]
    assert named == [name]


@pytest.mark.step(3)
def test_parse_reads_pid_and_comm(loader, rng):
    pid = rng.randrange(1000, 4_000_000)
    assert loader.parse(HEADER + b"hello from pid=%d comm=my shell" % pid) == loader.Message(pid, "my shell")


@pytest.mark.step(3)
@pytest.mark.parametrize("text", ["hello from afar", "pid=12 comm=bash", ""])
def test_parse_passes_over_other_lines(loader, text):
    assert loader.parse(HEADER + text.encode()) is None


@pytest.mark.step(3)
def test_a_name_may_hold_any_byte(loader):
    pid = None
    with contextlib.suppress(UnicodeDecodeError):
        pid = loader.parse(OURS + b"\xff\xfe").pid
    assert pid == 12, "the line of a command whose name is no UTF-8 could not be read"


@pytest.mark.step(3)
@pytest.mark.parametrize("name", [" my shell", "café", "", "a comm=b"])
def test_a_name_comes_as_it_is(loader, name):
    assert loader.parse(OURS + name.encode()) == loader.Message(12, name)


@pytest.mark.step(3)
def test_names_that_are_no_utf_8_stay_apart(loader):
    one, other = (loader.parse(OURS + name) for name in (b"\xff", b"\xff\xfe"))
    assert one != other, "two commands, whose names are the bytes ff and ff fe"


@pytest.mark.step(4)
def test_messages_stops_at_the_end_and_not_before(loader):
    lines = [
        HEADER + b"hello from pid=1 comm=a",
        b"",
        HEADER + b"someone else's line",
        HEADER + b"hello from pid=2 comm=b",
        HEADER + b"the end",
        HEADER + b"hello from pid=3 comm=c",
    ]
    pids = [message.pid for message in loader.messages(lines, b"the end")]
    assert pids == [1, 2]


@pytest.mark.step(4)
def test_the_end_may_stand_anywhere_in_its_line(loader):
    lines = [OURS + b"a", HEADER + b"end [1] of all", OURS + b"b"]
    names = [message.comm for message in loader.messages(lines, b"end [1]")]
    assert names == ["a"], "the end is the text 'end [1]'"


@pytest.mark.step(4)
def test_nothing_is_read_after_the_end(loader):
    read = []

    def lines():
        for line in (OURS + b"a", HEADER + b"the end", OURS + b"b"):
            read.append(line)
            yield line

    names = [message.comm for message in loader.messages(lines(), b"the end")]
    assert (names, len(read)) == (["a"], 2), "trace_pipe has no last line: who reads on after the end waits for ever"


@pytest.mark.step(4)
def test_each_message_is_given_as_it_comes(loader):
    read = []

    def lines():
        for pid in (1, 2):
            read.append(pid)
            yield HEADER + b"hello from pid=%d comm=a" % pid

    first = next(iter(loader.messages(lines(), b"the end")))
    assert (first.pid, read) == (1, [1]), "the first message, and the lines that were read before it was given"


@pytest.mark.step(4)
def test_messages_reads_the_kernel(loader, attached, workload, trace):
    child = workload(call_getppid)
    pid = child.pid
    child.run()
    lines = [*trace.lines(), b"the end"]
    ours = [message for message in loader.messages(lines, b"the end") if message.pid == pid]
    assert len(ours) == CALLS


@pytest.mark.step(5)
def test_after_detach_nothing_is_printed(loader, bpf, kernel, workload, trace):
    before = kernel.kprobes()
    function = loader.attach(bpf, "getppid")
    loader.detach(bpf, function)
    child = workload(call_getppid)
    pid = child.pid
    child.run()
    printed = len(lines_of(pid, trace.lines()))
    left = list(kernel.kprobes() - before)
    take_off(bpf)
    assert printed == 0, f"{CALLS} calls after detach still printed {printed} lines"
    assert left == []


@pytest.mark.step(5)
def test_detach_takes_off_that_function_alone(loader, bpf, kernel):
    before = kernel.kprobes()
    other = loader.attach(bpf, "getpgid")
    loader.detach(bpf, loader.attach(bpf, "getppid"))
    left = kernel.kprobes() - before
    take_off(bpf)
    assert left == {other.decode(): 1}, "attached to getppid and getpgid, detached from getppid"
