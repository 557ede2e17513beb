"""Labs without a guest, for tests: one that says what it was given, one whose agent is a process of this machine."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from harness.course import catalog
from harness.lab.ahead import BegunGuest
from harness.lab.channel import Channel
from harness.lab.guest import Deadlines, Guest
from harness.protocol import codec
from harness.protocol.frames import Kind, encode
from harness.protocol.messages import Collected, Exited, Finished, Ready, Reported, Started

ROOT = Path(__file__).resolve().parent.parent


def said(*messages):
    """Messages as the bytes of a guest: answers and events each in a frame of their kind; bytes as they are."""
    pieces = []
    for one in messages:
        kind = Kind.MESSAGE if type(one).__name__ in ("Exited", "Ready", "Settled", "Ended", "Fetched") else Kind.EVENT
        pieces.append(one if isinstance(one, bytes) else encode(kind, codec.dump(one)))
    return b"".join(pieces)


def passed(nodeid, outcome="passed", **more):
    """All that an honest guest says of a test."""
    reports = (Reported(nodeid=nodeid, when=when, outcome="passed", duration=0.1) for when in ("setup", "teardown"))
    setup, teardown = reports
    call = Reported(nodeid=nodeid, when="call", outcome=outcome, duration=0.1, **more)
    return [Started(nodeid=nodeid), setup, call, teardown, Finished(nodeid=nodeid)]


def whole(request, **more):
    """All that an honest guest says of a run in which every test passes."""
    tests = tuple(request.functions)
    events = [event for nodeid in tests for event in passed(nodeid, **more)]
    return [Collected(tests=tests), *events, Exited(status=0)]


class FakeLab:
    """Its first guest says `messages`, whatever it is asked, those after it `later`, or the same again.

    `endless` bytes follow for as long as the host reads.
    """

    def __init__(self, *messages, later=None, endless=b"", given_s=0.1):
        self.deadlines = Deadlines(0.1, given_s=given_s)
        self.lacking, self.on = {}, ""
        self._said, self._endless = said(*messages), endless
        self._later = self._said if later is None else said(*later)
        self.opened = 0

    @contextlib.contextmanager
    def open(self):
        """One more guest."""
        self.opened += 1
        ours, theirs = socket.socketpair()
        words = self._said if self.opened == 1 else self._later
        writer = threading.Thread(target=self._speak, args=(theirs, words), daemon=True)
        writer.start()
        channel = Channel(ours)
        try:
            yield Guest(channel)
        finally:
            channel.close()
            theirs.close()
            writer.join(5)

    def _speak(self, theirs, words):
        with contextlib.suppress(OSError):
            theirs.sendall(words)
            while self._endless:
                theirs.sendall(self._endless)
            theirs.shutdown(socket.SHUT_WR)

    def prepare(self):
        """Nothing."""

    def begin(self, files, run):
        """Nothing."""

    def close(self):
        """Nothing."""


AGENT = """
import collections
from harness.guest.agent import agent, clock
from harness.guest.observing import kernel
clock.set_clock = clock.feed_entropy = lambda given: None  # the host's own are none of a test's business
kernel.remains = collections.Counter
{before}
agent.main()
"""
AS_IN_THE_GUEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
"""There is no plug-in of the host's there."""


class AgentLab:
    """A guest's agent as a process here; `before` is code that it runs first; it has begun the request `begun`."""

    def __init__(self, begun=None, before="", deadlines=None):
        self.deadlines = deadlines or Deadlines(1.0)
        self.lacking, self.on = {}, ""
        self._begun, self._before = begun, before

    @contextlib.contextmanager
    def open(self):
        """One more agent."""
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-c", AGENT.format(before=self._before), "--fd", str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=os.environ | AS_IN_THE_GUEST
            )
        guest = BegunGuest(Channel(ours))
        try:
            guest.channel.expect(Ready, 60)
            if self._begun is not None:
                guest.begin(self._begun.files, self._begun.message(self.deadlines))
            yield guest
        finally:
            guest.channel.close()
            process.wait(60)


def small(course):
    """The lesson of the `course` fixture."""
    return catalog.load(course.root / "lessons/90-small")
