"""The guest's agent passes on what a test prints between the reports that it was printed between; and every signal."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading

import pytest
from labs import AgentLab

from harness.guest.agent.child import READ_SIZE, Child, Output, end_group, spawn
from harness.guest.testing.reporting import Reporter
from harness.lab.channel import Deadline
from harness.protocol import codec
from harness.protocol.frames import Kind, encode
from harness.protocol.messages import Exited, Finished, Spawn

ROUNDS = 23


@pytest.fixture
def tested():
    """A child whose output is a pipe and whose reports a socket: it, the writing ends, and what it sent on."""
    out_read, out_write = os.pipe()
    ours, theirs = socket.socketpair()
    for fd in (out_read, ours.fileno()):
        os.set_blocking(fd, False)
    sent = []
    outputs = [Output(out_read, Kind.STDOUT, lambda kind, payload: sent.append((kind, payload)), None)]
    child = Child(0, outputs, -1, ours.fileno(), lambda kind, payload: sent.append((kind, payload)), tty=False)
    yield child, out_write, theirs, sent
    for end in (ours, theirs):
        end.close()
    for fd in (out_read, out_write):
        os.close(fd)


def test_output_stays_between_its_reports_if_the_agent_is_late(tested):
    child, out_write, theirs, sent = tested
    reporter = Reporter(theirs.fileno())

    def test():
        for number in range(ROUNDS):
            os.write(out_write, b"%d" % number)
            reporter.send(Finished(nodeid=f"{number}"))

    thread = threading.Thread(target=test)
    thread.start()
    thread.join(0.2)
    while len(sent) < 2 * ROUNDS and (ready := select.select(child.sources(), [], [], 5)[0]):
        child.forward(set(ready))
    thread.join()
    printed = [payload if kind is Kind.STDOUT else None for kind, payload in sent]
    assert printed == [part for number in range(ROUNDS) for part in (b"%d" % number, None)]


def test_output_goes_on_after_a_report_that_took_it_all(tested):
    """Report and output are ready at once: the report's turn takes the output, and then there is none for now."""
    child, out_write, theirs, sent = tested
    out_read = child.sources()[0]
    os.write(out_write, b"x")
    theirs.sendall(encode(Kind.EVENT, codec.dump(Finished(nodeid="t"))))
    child.forward(set(child.sources()))
    assert out_read in child.sources()
    os.write(out_write, b"more")
    child.forward({out_read})
    assert sent[-1] == (Kind.STDOUT, b"more")


def test_output_that_has_ended_is_no_source():
    read, write = os.pipe()
    ended = Child(0, [Output(read, Kind.STDOUT, lambda *_: None, None)], -1, None, lambda *_: None, tty=False)
    os.close(write)
    ended.forward({read})
    assert ended.sources() == []
    os.close(read)


@pytest.fixture
def unconfined(monkeypatch):
    """No control group; SIGINT as the agent has it."""
    monkeypatch.setattr("harness.guest.agent.child._prepare_group", lambda: lambda: None)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_right_after_the_start_is_not_lost(unconfined):
    ends = []
    for _ in range(ROUNDS):
        child = spawn(Spawn(argv=("sleep", "5"), cwd="/"), lambda kind, payload: None)
        child.signal(signal.SIGINT)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]))
        child.close()
    assert ends == [-signal.SIGINT] * ROUNDS


def test_a_command_that_prints_more_than_a_pipe_holds_ends(unconfined):
    size = 5 * READ_SIZE + 7
    sent = []
    argv = ("sh", "-c", f"head -c {size} /dev/zero")
    child = spawn(Spawn(argv=argv, cwd="/"), lambda kind, payload: sent.append(payload))
    while child.sources():
        ready, _, _ = select.select(child.sources(), [], [], 10)
        assert ready
        child.forward(set(ready))
    assert os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == 0
    child.close()
    assert sum(map(len, sent)) == size


TYPED = b"x" * 1023 + b"\n"
PRINTS = "import sys; sys.stdout.write('y' * (1 << 20)); sys.stdout.flush(); print(len(sys.stdin.buffer.read()))"


@pytest.mark.timeout(60)
def test_input_that_waits_holds_no_output_up():
    """The agent once waited for a full pipe to be read, and its child for the agent to take what it printed."""
    with AgentLab().open() as guest:
        guest.start(Spawn(argv=(sys.executable, "-c", PRINTS), cwd="/"))
        for _ in range(300):
            guest.channel.enter(TYPED)
        guest.channel.enter(b"")
        out = b""
        for message in guest.channel.messages(Deadline(20)):
            if isinstance(message, Exited):
                break
            out += message.data
    assert out.lstrip(b"y") == b"307200\n"


@pytest.fixture
def group(tmp_path):
    """A control group's files, and a process in it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        (tmp_path / "cgroup.procs").write_text(f"{process.pid}\n{2**22}\n")
        yield tmp_path, process
        process.kill()


def test_a_group_ends_where_the_kernel_does_not_end_it_at_once(group):
    """Linux before 5.14: first no process can fork, then each is killed once; one is gone already."""
    folder, process = group
    end_group(folder)
    assert process.wait(10) == -signal.SIGKILL
    assert (folder / "pids.max").read_text() == "0"


def test_the_kernel_ends_a_group_where_it_can(group):
    folder, process = group
    (folder / "cgroup.kill").write_text("")
    end_group(folder)
    assert (folder / "cgroup.kill").read_text() == "1"
    assert process.poll() is None
