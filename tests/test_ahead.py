"""A run that was begun ahead of time goes on only where nothing that it read has changed since."""

import random
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from labs import AgentLab, said, small

from harness.guest.agent.child import Child
from harness.lab.ahead import BegunGuest
from harness.lab.channel import Channel, Output
from harness.protocol import codec
from harness.protocol.frames import Decoder, Kind, decode_file
from harness.protocol.messages import Exited, Go, Reported, Run, Spawn, Started, read_request
from harness.run import session
from harness.run.request import of_lesson

CWD = Path("/w")
TEST, LOADER, MINE, MODULE, PROGRAM = (
    CWD / name for name in ("test_x.py", "loader.py", "test_mine.py", "helper.py", "x.bpf.c")
)
RUN = Run(root="/w", code="/w", tests=(str(TEST),), wanted=("test_x.py::t",), seed=5, holes=(1,), options=("-x",))
FILES = dict.fromkeys((TEST, LOADER, MINE, MODULE, PROGRAM), b"old")


@pytest.fixture
def begun():
    """A guest that has begun, and what it was asked since; the other end answers with the exit that a kill brings."""
    ours, theirs = socket.socketpair()
    guest = BegunGuest(Channel(ours))
    guest.begin(FILES, RUN)
    decoder = Decoder()
    decoder.feed(theirs.recv(1 << 20))
    theirs.sendall(said(Exited(status=-9)))

    def asked():
        theirs.setblocking(False)
        requests, files = [], set()
        for frame in decoder.feed(theirs.recv(1 << 20)):
            if frame.kind is Kind.MESSAGE:
                request = read_request(frame.payload)
                requests.append(" ".join([type(request).__name__, *getattr(request, "argv", ())]))
            elif frame.kind is Kind.STDIN:
                requests.append(codec.load(frame.payload, (Go,)))
            else:
                files.add(decode_file(frame.payload)[0])
        return requests, files

    yield guest, asked
    guest.channel.close()
    theirs.close()


@pytest.mark.parametrize("path", [LOADER, PROGRAM, MINE])
def test_it_goes_on_with_the_learners_new_files(begun, path):
    guest, asked = begun
    guest.put(FILES | {path: b"new"})
    guest.start(replace(RUN, seed=7, holes=()))
    assert asked() == (["Settle", Go(seed=7, holes=())], {str(path)})


@pytest.mark.parametrize("path", [TEST, MODULE])
def test_it_begins_again_where_a_test_or_a_module_changed(begun, path):
    guest, asked = begun
    guest.put(FILES | {path: b"new"})
    guest.start(RUN)
    assert asked() == (["Signal", "Run"], {str(path)})


@pytest.mark.parametrize(
    "other", [{"options": ()}, {"wanted": ("x",)}, {"tests": (str(MINE),)}, {"code": "/s"}, {"test_s": 9.0}]
)
def test_it_begins_again_for_another_run(begun, other):
    guest, asked = begun
    guest.put(FILES)
    guest.start(replace(RUN, **other))
    assert asked()[0] == ["Signal", "Run"]


def test_it_goes_on_once(begun):
    guest, asked = begun
    guest.put(FILES)
    guest.start(RUN)
    guest.start(RUN)
    assert asked()[0] == ["Settle", Go(seed=5, holes=(1,)), "Run"]


def test_another_command_ends_it_first(begun):
    guest, asked = begun
    guest.start(Spawn(argv=("true",), cwd="/w"))
    assert asked()[0] == ["Signal", "Spawn true"]


def test_a_file_that_went_goes_there_too(begun):
    guest, asked = begun
    guest.run = lambda argv: guest.start(Spawn(argv=tuple(argv), cwd="/w"))
    guest.put({path: content for path, content in FILES.items() if path != PROGRAM})
    guest.start(RUN)
    assert asked()[0] == ["Signal", "Spawn rm -f /w/x.bpf.c", "Run"]


SPEC = """
import pytest
print("collected", flush=True)

@pytest.mark.step(1)
def test_one(loader, rng):
    print("drawn", rng.randrange(10**9), end="")
    assert loader.one() == 23
"""


def request(course, loader, spec=SPEC, seed=0):
    """A run of the small lesson."""
    course.write("loader.py", loader)
    course.write("test_small.py", spec)
    lesson = small(course)
    return of_lesson(lesson, "lessons", tests=(lesson.tests,), seed=seed)


def run(begun, asked):
    """What is printed before the first test, what by the test, and its outcomes."""
    printed, outcomes, before = "", [], ""
    for event in session.run(AgentLab(begun), asked):
        match event:
            case Started():
                before, printed = printed, ""
            case Output(_, data):
                printed += data.decode()
            case Reported(outcome=outcome):
                outcomes.append(outcome)
    return before.split(), printed.strip(), outcomes


def test_it_collects_once_and_tests_the_code_that_was_saved_last(course):
    begun = request(course, "def one(): return 22\n")
    asked = request(course, "def one(): return 23\n", seed=5)
    before, drawn, outcomes = run(begun, asked)
    assert before == ["collected"]
    assert outcomes == ["passed"] * 3
    seeded = random.Random("5 lessons/90-small/test_small.py::test_one").randrange(10**9)
    assert drawn == f"drawn {seeded}"


def test_a_test_that_changed_is_collected_again(course):
    begun = request(course, "def one(): return 23\n")
    asked = request(course, "def one(): return 23\n", SPEC.replace("== 23", "== 24"))
    _, _, outcomes = run(begun, asked)
    assert "failed" in outcomes


def test_a_signal_reaches_a_child_that_was_only_just_forked():
    process = subprocess.Popen(["sleep", "60"])  # not the leader of a group, as before its setsid
    Child(process.pid, [], -1, None, lambda *_: None, tty=False).signal(9)
    assert process.wait(10) == -9
