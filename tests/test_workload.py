"""The process whose events a test looks at."""

import os
import signal

import pytest

from harness.guest.testing.workload import Workload

DEADLINE_S = 60


def test_the_pid_stays_after_the_run():
    child = Workload(os.getpid, DEADLINE_S)
    seen = child.run()
    pid = child.pid
    child.close()
    assert (seen, child.pid) == (pid, pid)


def test_close_kills_a_child_that_waits():
    child = Workload(os.getpid, DEADLINE_S)
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_close_kills_nothing_after_the_run(monkeypatch):
    child = Workload(os.getpid, DEADLINE_S)
    child.run()
    killed = []
    monkeypatch.setattr(os, "kill", lambda *arguments: killed.append(arguments))
    child.close()
    assert killed == [], f"the child had exited; its pid may be another process's now, {signal.SIGKILL!r} went to it"
