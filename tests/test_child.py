"""The guest's agent passes on what a test prints between the reports that it was printed between; and every signal."""

import os
import select
import signal
import socket
import threading

from harness.guest.agent.child import Child, Output, spawn
from harness.guest.testing.reporting import Reporter
from harness.protocol.frames import Kind

ROUNDS = 23


def test_output_stays_between_its_reports_however_late_the_agent_looks():
    out_read, out_write = os.pipe()
    ours, theirs = socket.socketpair()
    for fd in (out_read, ours.fileno()):
        os.set_blocking(fd, False)
    sent = []

    def send(kind, payload):
        sent.append((kind, payload))

    child = Child(0, [Output(out_read, Kind.STDOUT, send, None)], -1, ours.fileno(), send, tty=False)
    reporter = Reporter(theirs.fileno())

    def tested():
        for number in range(ROUNDS):
            os.write(out_write, b"%d" % number)
            reporter.send("report", number=number)

    thread = threading.Thread(target=tested)
    thread.start()
    thread.join(0.2)
    while len(sent) < 2 * ROUNDS and (ready := select.select(child.sources(), [], [], 5)[0]):
        child.forward(set(ready))
    thread.join()
    for end in (ours, theirs):
        end.close()
    os.close(out_write)
    os.close(out_read)
    printed = [payload if kind is Kind.STDOUT else None for kind, payload in sent]
    assert printed == [part for number in range(ROUNDS) for part in (b"%d" % number, None)]


def test_an_interrupt_right_after_the_start_is_not_lost(monkeypatch):
    monkeypatch.setattr("harness.guest.agent.child._prepare_group", lambda: lambda: None)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as the agent has it
    try:
        ends = []
        for _ in range(ROUNDS):
            child = spawn({"mode": "exec", "argv": ["sleep", "5"], "cwd": "/"}, lambda kind, payload: None)
            child.signal(signal.SIGINT)
            ends.append(os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]))
            child.close()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ends == [-signal.SIGINT] * ROUNDS
