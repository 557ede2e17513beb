"""A busy machine makes a check slower, not red: no deadline counts the time in which the guest had no CPU."""

import os
import subprocess
import sys
import time

import pytest
from labs import AgentLab, FakeLab, passed, small

from harness.errors import GuestStarved
from harness.guest.testing import deadline
from harness.guest.testing.guard import Unprovoked
from harness.lab import channel as channels
from harness.lab.channel import Deadline
from harness.lab.guest import Deadlines
from harness.lab.starved import Usage, Watch, starved_s, usage
from harness.protocol.facts import Facts
from harness.protocol.messages import Collected, Exited
from harness.run import outcome, session
from harness.run.request import of_lesson

SPIN = "while True: pass"
TWO_TESTS = """
import pytest

@pytest.mark.step(1)
def test_one(loader):
    assert loader.act() == 23

@pytest.mark.step(2)
def test_two(loader):
    assert loader.act() == 23
"""
WAITS = """
import time
def act():
    time.sleep(6)
    return 23
"""


@pytest.fixture
def lesson(course):
    course.write("test_small.py", TWO_TESTS)
    course.write("loader.py", "def act():\n    return 23\n")
    return small(course)


@pytest.fixture
def spinning():
    """`spinning(n)`: n processes on the same one CPU that do nothing but compute."""
    started = []
    cpu = min(os.sched_getaffinity(0))

    def start(number):
        for _ in range(number):
            started.append(subprocess.Popen([sys.executable, "-c", SPIN]))
            os.sched_setaffinity(started[-1].pid, {cpu})
        return [process.pid for process in started]

    yield start
    for process in started:
        process.kill()
        process.wait()


class BusyLab(AgentLab):
    """Its agent's channel is told that of each second so many parts were without a CPU."""

    def __init__(self, share, deadlines):
        super().__init__(deadlines=deadlines)
        self._share = share

    def open(self):
        return _Busy(super().open(), self._share)


class _Busy:
    def __init__(self, opened, share):
        self._opened, self._share, self._last = opened, share, time.monotonic()

    def __enter__(self):
        guest = self._opened.__enter__()
        guest.channel.watch(self._starved)
        return guest

    def __exit__(self, *error):
        return self._opened.__exit__(*error)

    def _starved(self):
        before, self._last = self._last, time.monotonic()
        return self._share * (self._last - before)


@pytest.mark.parametrize(
    ("ran", "waited", "wall", "lost"),
    [
        (5.0, 0.0, 5.0, 0.0),  # had a CPU all the time
        (0.0, 0.0, 5.0, 0.0),  # wanted none
        (1.0, 4.0, 5.0, 4.0),  # one of five on one CPU
        (2.0, 8.0, 5.0, 4.0),  # two threads at once, each one of five: the time is lost once
        (0.2, 0.8, 5.0, 0.8),  # wanted little, and waited for most of that
        (0.0, 9.0, 5.0, 5.0),  # never more than there was
    ],
)
def test_time_without_a_cpu_is_counted_once(ran, waited, wall, lost):
    assert starved_s(Usage(7, 7), Usage(7 + ran, 7 + waited), wall) == pytest.approx(lost)


def test_a_process_that_is_gone_had_no_use_of_a_cpu():
    assert usage(2**22 + 1) == Usage(0, 0)


def test_a_watch_sees_that_others_have_the_cpu(spinning):
    pid = spinning(5)[0]
    watch, begin = Watch(pid), time.monotonic()
    time.sleep(1.5)
    lost, wall = watch(), time.monotonic() - begin
    assert 0.5 * wall < lost <= wall, f"one of 5 on one CPU had none for {lost:.2f} of {wall:.2f} s"


def test_a_clock_stands_still_for_a_deadline():
    now = 100.0
    due = Deadline(5, lambda: now)
    assert due.left() == 5
    now = 103.0
    assert due.left() == 2


def test_a_deadline_that_never_comes_is_the_machines_fault(monkeypatch):
    monkeypatch.setattr(channels, "PATIENCE", 0)
    due = Deadline(5, lambda: 100.0)
    with pytest.raises(GuestStarved, match="too busy") as caught:
        due.left()
    assert caught.value.exit_code == 3


def test_the_guests_deadline_moves_by_what_is_noted():
    due = deadline.Deadline(5)
    deadline.note_starved(3)
    assert 7 < due.left() <= 8
    deadline.note_starved(-3)
    assert due.left() > 7, "a guest's clock never runs faster"


def test_a_test_without_a_cpu_is_slower_and_not_red(course, lesson):
    course.write("loader.py", WAITS)
    asked = of_lesson(lesson, "lessons", tests=(lesson.tests,))
    had_all = outcome.run(AgentLab(deadlines=Deadlines(0.1, given_s=2)), asked)
    assert had_all.tests["lessons/90-small/test_small.py::test_one"].timed_out
    had_little = outcome.run(BusyLab(0.8, Deadlines(0.1, given_s=2)), asked)
    assert had_little.green, [str(test.verdict) for test in had_little.tests.values()]


def test_an_endless_test_is_red_on_a_busy_machine_too(course, lesson):
    course.write("loader.py", "def act():\n    while True: pass\n")
    asked = of_lesson(lesson, "lessons", tests=(lesson.tests,))
    found = outcome.run(BusyLab(0.5, Deadlines(0.1, given_s=2)), asked)
    assert found.tests["lessons/90-small/test_small.py::test_one"].timed_out


NEVER = """
import pytest
from harness.guest.testing import fixtures
fixtures.PROVOKED = 2

@pytest.mark.step(1)
def test_one(loader, provoke):
    provoke(lambda: {attempt}, "a loss")
    assert loader.act() == 23

@pytest.mark.step(2)
def test_two(loader):
    assert loader.act() == 23
"""


def test_a_race_that_is_not_provoked_is_the_labs_failure(course, lesson):
    course.write("test_small.py", NEVER.format(attempt="False"))
    asked = of_lesson(small(course), "lessons", tests=(lesson.tests,))
    results = outcome.run(AgentLab(deadlines=Deadlines(0.1, given_s=1)), asked)
    found = results.tests["lessons/90-small/test_small.py::test_one"].verdict
    assert (found.kind, results.green) == ("lab", False)
    assert found.text.startswith("a loss happened not once in 0 s, and the test needs 2: the lab's CPUs hardly")


def test_a_race_that_is_provoked_is_judged(course, lesson):
    course.write("test_small.py", NEVER.format(attempt="True"))
    asked = of_lesson(small(course), "lessons", tests=(lesson.tests,))
    assert outcome.run(AgentLab(), asked).green


def test_what_the_lab_could_not_do_is_not_the_learners(lesson):
    one, two = (f"lessons/90-small/test_small.py::test_{name}" for name in ("one", "two"))
    facts = Facts(exception=Unprovoked.__name__, message="no race", lab="no race")
    lab = FakeLab(Collected(tests=(one, two)), *passed(one, "failed", facts=facts), *passed(two), Exited(status=0))
    results = outcome.run(lab, of_lesson(lesson, "lessons", tests=(lesson.tests,)))
    assert {test.name: test.verdict.kind for test in results.tests.values()} == {"test_one": "lab", "test_two": "done"}


def test_a_guest_without_a_cpu_ends_the_run_with_a_sentence(lesson, monkeypatch):
    monkeypatch.setattr(channels, "PATIENCE", 0.02)
    lab = BusyLab(1.0, Deadlines(0.1, given_s=60))
    monkeypatch.setattr(session, "STOP_GRACE_S", 1)
    (lesson.folder() / "loader.py").write_text("import time\ndef act():\n    time.sleep(30)\n")
    with pytest.raises(GuestStarved) as caught:
        outcome.run(lab, of_lesson(lesson, "lessons", tests=(lesson.tests,)))
    assert "end what keeps the CPUs busy" in caught.value.remedy
