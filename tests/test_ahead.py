"""A run that was begun ahead of time goes on only where nothing that it read has changed since."""

import contextlib
import io
import os
import random
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.course import catalog
from harness.guest.agent.child import Child
from harness.lab.ahead import BegunGuest
from harness.lab.guest import Deadlines
from harness.lab.machine import Channel
from harness.protocol.frames import Decoder, Kind, encode_json
from harness.run import payload, session

CWD = Path("/w")
TEST, LOADER, MINE, MODULE, PROGRAM = (
    CWD / name for name in ("test_x.py", "loader.py", "test_mine.py", "helper.py", "x.bpf.c")
)
FIELDS = {"tests": [str(TEST)], "code": "/w", "wanted": (), "seed": 5, "holes": [1], "options": ["--timeout=9"]}
FILES = dict.fromkeys((TEST, LOADER, MINE, MODULE, PROGRAM), b"old")


@pytest.fixture
def begun():
    """A guest that has begun, and what it was told since; the other end answers with the exit that a kill brings."""
    ours, theirs = socket.socketpair()
    guest = BegunGuest(Channel(ours))
    guest.begin(FILES, CWD, FIELDS)
    decoder = Decoder()
    decoder.feed(theirs.recv(1 << 20))
    theirs.sendall(encode_json(Kind.CONTROL, {"event": "exit", "status": -9}))

    def told():
        theirs.setblocking(False)
        operations, files = [], set()
        for frame in decoder.feed(theirs.recv(1 << 20)):
            if frame.kind is Kind.CONTROL:
                request = frame.json()
                operations.append(" ".join(map(str, [request["op"], *request.get("argv", [])])))
            elif frame.kind is Kind.STDIN:
                operations.append(frame.payload.decode().strip())
            elif frame.payload:
                with tarfile.open(fileobj=io.BytesIO(frame.payload)) as archive:
                    files |= {"/" + name for name in archive.getnames()}
        return operations, files

    yield guest, told
    guest.channel.close()
    theirs.close()


@pytest.mark.parametrize("path", [LOADER, PROGRAM, MINE])
def test_it_goes_on_with_the_learners_new_files(begun, path):
    guest, told = begun
    guest.put(FILES | {path: b"new"})
    guest.spawn("pytest", CWD, **FIELDS | {"seed": 7, "holes": []})
    assert told() == (["settle", '{"seed": 7, "holes": []}'], {str(path)})


@pytest.mark.parametrize("path", [TEST, MODULE])
def test_it_begins_anew_where_a_test_or_a_module_changed(begun, path):
    guest, told = begun
    guest.put(FILES | {path: b"new"})
    guest.spawn("pytest", CWD, **FIELDS)
    assert told() == (["signal", "spawn"], {str(path)})


@pytest.mark.parametrize("other", [{"options": []}, {"wanted": ("x",)}, {"tests": [str(MINE)]}, {"code": "/s"}])
def test_it_begins_anew_for_another_run(begun, other):
    guest, told = begun
    guest.put(FILES)
    guest.spawn("pytest", CWD, **FIELDS | other)
    assert told()[0] == ["signal", "spawn"]


def test_it_goes_on_once(begun):
    guest, told = begun
    guest.put(FILES)
    guest.spawn("pytest", CWD, **FIELDS)
    guest.spawn("pytest", CWD, **FIELDS)
    assert told()[0] == ["settle", '{"seed": 5, "holes": [1]}', "spawn"]


def test_another_command_ends_it_first(begun):
    guest, told = begun
    guest.spawn("exec", CWD, argv=["true"])
    assert told()[0] == ["signal", "spawn true"]


def test_a_file_that_went_goes_there_too(begun):
    guest, told = begun
    guest.run = lambda argv: guest.spawn("exec", CWD, argv=argv)
    guest.put({path: content for path, content in FILES.items() if path != PROGRAM})
    guest.spawn("pytest", CWD, **FIELDS)
    assert told()[0] == ["signal", "spawn rm -f /w/x.bpf.c", "spawn"]


AGENT = """
import collections
from harness.guest.agent import agent
from harness.guest.agent import clock
from harness.guest.observing import kernel
clock.set_clock = clock.feed_entropy = lambda given: None  # the host's own are none of a test's business
kernel.remains = collections.Counter
agent.main()
"""
AS_IN_THE_GUEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
"""There is no plug-in of the host's there."""
SPEC = """
import pytest
print("collected", flush=True)

@pytest.mark.step(1)
def test_one(loader, rng):
    print("drawn", rng.randrange(10**9), end="")
    assert loader.one() == 23
"""


class AgentLab:
    """A guest's agent as a process here; it has begun `batch`."""

    deadlines = Deadlines(1.0)

    def __init__(self, begun):
        self._begun = begun

    @contextlib.contextmanager
    def open(self):
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-c", AGENT, "--fd", str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=os.environ | AS_IN_THE_GUEST
            )
        guest = BegunGuest(Channel(ours))
        try:
            guest.channel.expect("ready", 60)
            guest.begin(self._begun.files, self._begun.root, session.fields(self._begun, self.deadlines))
            yield guest
        finally:
            guest.channel.close()
            process.wait(60)


def request(course, loader, spec=SPEC, seed=0):
    """A run of the small lesson."""
    course.write("loader.py", loader)
    course.write("test_small.py", spec)
    lesson = catalog.load(course.root / "lessons/90-small")
    return payload.batch(lesson, "lessons", tests=(lesson.tests,), seed=seed)


def run(begun, asked):
    """What is printed before the first test, what by the test, and its outcomes."""
    printed, outcomes, before = "", [], ""
    for event in session.run(AgentLab(begun), asked):
        match event:
            case session.Started():
                before, printed = printed, ""
            case session.Output(_, data):
                printed += data.decode()
            case session.Reported(report):
                outcomes.append(report["outcome"])
    return before.split(), printed.strip(), outcomes


def test_it_collects_once_and_tests_the_code_that_was_saved_last(course):
    begun = request(course, "def one(): return 22\n")
    asked = request(course, "def one(): return 23\n", seed=5)
    before, drawn, outcomes = run(begun, asked)
    assert before == ["collected"]
    assert outcomes == ["passed"] * 3
    seeded = random.Random("5 lessons/90-small/test_small.py::test_one").randrange(10**9)
    assert drawn == f"drawn {seeded}"


def test_a_test_that_changed_is_collected_anew(course):
    begun = request(course, "def one(): return 23\n")
    asked = request(course, "def one(): return 23\n", SPEC.replace("== 23", "== 24"))
    _, _, outcomes = run(begun, asked)
    assert "failed" in outcomes


def test_a_signal_reaches_a_child_that_was_only_just_forked():
    process = subprocess.Popen(["sleep", "60"])  # not the leader of a group, as before its setsid
    Child(process.pid, [], -1, None, lambda *_: None, tty=False).signal(9)
    assert process.wait(10) == -9
