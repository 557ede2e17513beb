"""Your test for lesson 03: are the reports complete while the counting goes on?"""

import subprocess

import pytest

REPORTS = 7


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, counting."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


class Busy:
    """Two threads that call getppid on two CPUs, without end; `key` is what they are counted under.

    A report without new calls of theirs has no such key.
    """

    def __init__(self, loader, program):
        self._process = subprocess.Popen([program, "2", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.key = loader.SyscallKey(self._process.pid, int(self._process.stdout.readline()))
        self._process.stdin.write("!")
        self._process.stdin.flush()

    def stop(self):
        """Stop the threads; the number of calls that they made in all."""
        printed, _ = self._process.communicate()
        return int(printed)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def busy(loader, bpf, native, eventually):
    """A Busy whose first calls are already counted."""
    busy = Busy(loader, native("busy.c"))
    eventually(lambda: busy.key in loader.read(bpf, "counts"), "the first call of busy to be counted")
    yield busy
    busy.close()


@pytest.mark.step(6)
def test_reports_add_up_to_all_calls(loader, bpf, busy):
    # TODO 6: take REPORTS reports, stop busy, take one more; compare with its own sum
    reports = loader.Reports(bpf)
    reported = sum(reports.next().get(busy.key, 0) for _ in range(REPORTS))
    made = busy.stop()
    reported += reports.next().get(busy.key, 0)
    assert reported == made
    # end of TODO 6
