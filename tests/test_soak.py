"""The soak sees a fault where there is one: guests that report this or that stand in for real ones."""

import contextlib

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.errors import GuestLost
from harness.lab import saved
from harness.lab.guest import Completed
from harness.measure import soak

CLEAN = Completed(0, "[    0.0] Command line: console=ttyS0 quiet panic=-1 oops=panic\n", "")


class Guest:
    """A guest in which the stress ends as it is given."""

    def __init__(self, ending):
        self._ending = ending

    def put(self, files):
        pass

    def run(self, argv, **_):
        if isinstance(self._ending, Exception):
            raise self._ending
        return self._ending


@pytest.fixture
def soaked(monkeypatch):
    """A function: soak one guest after the other that end like this; the rounds, and how many labs were closed."""

    all_labs = []

    class Lab:
        def __init__(self, ending):
            self._ending, self.closed = ending, False
            all_labs.append(self)

        @contextlib.contextmanager
        def open(self):
            yield Guest(self._ending)

        def close(self):
            self.closed = True

    def soak_guests(*endings):
        labs = iter([Lab(ending) for ending in endings])
        monkeypatch.setattr(soak, "VirtualLab", lambda _: next(labs))
        said = []
        rounds = soak.soak(None, len(endings), 1, said.append)
        assert said == rounds
        return rounds

    yield soak_guests
    assert all(lab.closed for lab in all_labs)


@pytest.mark.parametrize(
    "line",
    [
        "[   23.1] traps: python3[812] general protection fault ip:7f1 sp:7f2 error:0 in ld.so",
        "[   23.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        "[   23.1] list_del corruption. prev->next should be ffff8881",
        "[   23.1] BUG: unable to handle page fault for address: ffff",
    ],
)
def test_a_fault_in_the_kernels_log_is_one_of_the_round(soaked, line):
    (first, second) = soaked(CLEAN, Completed(0, f"{CLEAN.out}{line}\n", ""))
    assert (first.number, first.fault) == (1, "")
    assert (second.number, second.fault) == (2, line)


def test_a_script_that_fails_is_a_fault_of_the_round(soaked):
    (only,) = soaked(Completed(1, "", "awk: cannot allocate\n"))
    assert only.fault == "exit status 1: awk: cannot allocate"


def test_a_guest_that_is_lost_is_a_fault_with_its_console(soaked):
    lost, after = soaked(GuestLost("it ended", console="Kernel panic"), CLEAN)
    assert lost.fault == "it ended\nKernel panic"
    assert after.fault == ""


@pytest.mark.parametrize(("fault", "code"), [("", 0), ("it ended", 3)])
def test_the_command_exits_with_3_after_a_fault(monkeypatch, fault, code):
    monkeypatch.setattr(saved, "ensure", lambda target, say: None)
    monkeypatch.setattr(soak, "soak", lambda *_: [soak.Round(1, 1.0, ""), soak.Round(2, 1.0, fault)])
    seen = CliRunner().invoke(cli.app, ["lab", "soak"])
    assert (seen.exit_code, seen.stdout) == (code, f"2 restores, {int(bool(fault))} with a fault\n")
