"""Runs that follow one another in one guest."""

import contextlib
import socket
from dataclasses import dataclass, field

import pytest

from harness.course import catalog
from harness.errors import GuestLost
from harness.lab import saved
from harness.lab.channel import Channel
from harness.lab.guest import Deadlines, Guest
from harness.lab.image.target import chosen
from harness.lab.shared import SharedLab
from harness.lab.virtual import VirtualLab
from harness.protocol import codec
from harness.protocol.frames import Decoder, Kind, encode
from harness.protocol.messages import End, Ended, read_request
from harness.run import outcome
from harness.run.request import of_lesson

ENDED = encode(Kind.MESSAGE, codec.dump(Ended()))


@dataclass
class Lab:
    """Opens guests whose other end is in our hands."""

    deadlines = Deadlines(1)
    lacking, on = {}, ""
    others: list = field(default_factory=list)
    open_now: int = 0

    @contextlib.contextmanager
    def open(self):
        """One more guest; its agent has said already that the first run is ended."""
        ours, theirs = socket.socketpair()
        theirs.sendall(ENDED)
        self.others.append(theirs)
        self.open_now += 1
        channel = Channel(ours)
        try:
            yield Guest(channel)
        finally:
            channel.close()
            self.open_now -= 1


@pytest.fixture
def lab():
    """A lab whose other ends are closed in the end."""
    made = Lab()
    yield made
    for other in made.others:
        other.close()


def asked(other):
    """What the guest's end was asked for."""
    return [read_request(frame.payload) for frame in Decoder().feed(other.recv(1 << 16))]


def test_a_guest_serves_one_run_after_the_other(lab):
    with SharedLab(lab) as shared:
        with shared.open() as first:
            pass
        assert asked(lab.others[0]) == [End()]
        with shared.open() as second:
            assert second is first
            lab.others[0].sendall(ENDED)
    assert (len(lab.others), lab.open_now) == (1, 0)


def test_a_run_that_is_not_read_to_its_end_is_ended(lab):

    def run(shared):
        with shared.open():
            yield 1
            yield 2

    with SharedLab(lab) as shared:
        with contextlib.closing(run(shared)) as events:
            next(events)
        assert asked(lab.others[0]) == [End()]


def test_a_lost_guest_is_replaced(lab):
    with SharedLab(lab) as shared:
        with pytest.raises(GuestLost, match="the first"), shared.open():
            raise GuestLost("the first is gone")
        assert lab.open_now == 0
        with shared.open():
            pass
        assert len(lab.others) == 2


def test_a_guest_that_does_not_end_a_run_is_lost(lab, monkeypatch):
    monkeypatch.setattr("harness.lab.shared.END_DEADLINE_S", 0.1)
    with SharedLab(lab) as shared:
        with shared.open():
            pass
        with pytest.raises(GuestLost, match="'ended'"), shared.open():
            pass
        assert lab.open_now == 0


@pytest.mark.guest
def test_nothing_of_a_run_is_left_in_the_next_ones_process(course):
    """The same size, the same second, another content: no compiled file of the first may answer for the second."""
    course.write(
        "test_small.py", "import pytest\n@pytest.mark.step(1)\ndef test_act(loader): assert loader.act() == 23\n"
    )
    (course.root / "solutions/90-small/loader.py").write_text("")
    lesson = catalog.load(course.root / "lessons/90-small")
    path = lesson.folder("solutions") / "loader.py"
    seen = []
    with SharedLab(VirtualLab(saved.ensure(chosen(), print))) as shared:
        for number in ("23", "22", "23"):
            text = f"import subprocess\nsubprocess.Popen(['sleep', '999'])\ndef act(): return {number}\n".encode()
            request = of_lesson(lesson, "solutions", replaced={path: text}, tests=(lesson.tests,))
            seen.append(outcome.run(shared, request).green)
        with shared.open() as guest:
            left = guest.run(["sh", "-c", "grep -l sleep /proc/[0-9]*/comm; true"]).out
    assert seen == [True, False, True]
    assert left == ""
