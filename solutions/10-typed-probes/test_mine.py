"""My test for lesson 10: of threads that sleep in one function at once, each is seen to return."""

import fcntl
import threading
from contextlib import ExitStack

import pytest


@pytest.fixture
def events(loader):
    """The program's events; `read()` returns those since the last read."""
    bpf = loader.load()
    yield loader.Events(bpf)
    bpf.cleanup()


@pytest.fixture
def sleepers(events, workload, eventually, tmp_path):
    """`sleepers(n)`: n threads of one process sleep in fcntl_setlk, all at once, and return; their process id."""
    path = tmp_path / "lock"
    path.touch()

    def work(number):
        with ExitStack() as files:
            opened = [files.enter_context(path.open("w")) for _ in range(number)]
            threads = [threading.Thread(target=fcntl.lockf, args=(file, fcntl.LOCK_EX)) for file in opened]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def asleep(pid):
        with open("/proc/locks") as locks:
            return sum("->" in row and f" {pid} " in row for row in locks)

    def start(number):
        process = workload(lambda: work(number))
        with path.open("w") as holder:
            fcntl.lockf(holder, fcntl.LOCK_EX)
            process.start()
            eventually(lambda: asleep(process.pid) == number, f"{number} threads to wait for a lock")
            fcntl.lockf(holder, fcntl.LOCK_UN)
        process.wait()
        return process.pid

    return start


@pytest.mark.step(3)
def test_all_that_sleep_at_once_are_seen_to_return(events, sleepers):
    # TODO 3: let more threads sleep at once than a kretprobe has places
    pid = sleepers(23)
    returned = [event for event in events.read() if event.pid == pid and event.result is not None]
    assert len(returned) == 23, f"23 threads slept in the call at once, {len(returned)} were seen to return"
    # end of TODO 3
