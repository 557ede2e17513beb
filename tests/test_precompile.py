"""While a run waits for a save, its programs are compiled once; the kernel that the run will meet stays as it is."""

import os
import time
from pathlib import Path

import pytest
from labs import AgentLab, small

from harness.course import catalog
from harness.guest.testing import precompile
from harness.guest.testing.precompile import Precompile
from harness.lab import saved
from harness.lab.image.target import default
from harness.lab.virtual import VirtualLab
from harness.learner import verify
from harness.protocol.messages import Precompiled
from harness.run import outcome
from harness.run.request import of_lesson

DEADLINE_S = 30
FAKE_BCC = str(Path(__file__).parent / "silent/fake")


@pytest.fixture
def pipe():
    reads, writes = os.pipe()
    yield reads, writes
    os.close(reads)
    os.close(writes)


def wait_until(condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def children():
    return Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()


def test_a_save_ends_a_compile_that_still_runs(pipe, monkeypatch):
    monkeypatch.setattr(precompile, "_compile", lambda texts: time.sleep(600))
    reads, writes = pipe
    os.write(writes, b"x")
    before, said = children(), []
    with Precompile([b""]) as compiling:
        compiling.until_readable(reads, lambda: said.append("done"))
        assert len(children()) == len(before) + 1
    assert children() == before
    assert said == []


def test_a_finished_compile_is_reported_once(pipe, monkeypatch):
    monkeypatch.setattr(precompile, "_compile", lambda texts: None)
    monkeypatch.setattr(precompile, "_give_up_capabilities", lambda: None)
    reads, writes = pipe
    said = []
    with Precompile([b""]) as compiling:
        compiling.until_readable(reads, lambda: said.append(os.write(writes, b"x")))
    assert said == [1]


def test_a_compile_that_fails_is_not_reported(tmp_path, pipe, monkeypatch):
    def fail(texts):
        (tmp_path / "tried").touch()
        raise OSError

    monkeypatch.setattr(precompile, "_compile", fail)
    reads, writes = pipe
    said = []
    with Precompile([b""]) as compiling:
        wait_until((tmp_path / "tried").exists)
        os.write(writes, b"x")
        compiling.until_readable(reads, lambda: said.append("done"))
    assert said == []


def test_the_compile_is_silent_and_has_no_capabilities(tmp_path, pipe, monkeypatch, capfd):
    def show(texts):
        os.write(2, b"clang's words")
        (tmp_path / "status").write_text(Path("/proc/self/status").read_text())

    monkeypatch.setattr(precompile, "_compile", show)
    reads, writes = pipe
    with Precompile([b""]) as compiling:
        compiling.until_readable(reads, lambda: os.write(writes, b"x"))
    status = dict(line.split(":\t") for line in (tmp_path / "status").read_text().splitlines())
    assert {status[name] for name in ("CapEff", "CapPrm", "CapInh")} == {16 * "0"}
    assert capfd.readouterr() == ("", "")


THRICE = """
import os, threading
from bcc import BPF
def act():
    if (pid := os.fork()) == 0:
        BPF(text="a process of its own")
        os._exit(0)
    os.waitpid(pid, 0)
    thread = threading.Thread(target=BPF, kwargs={"text": "a thread"})
    thread.start()
    thread.join()
    BPF(text="the test's own")
    return 23
"""
ACTS = "import pytest\n@pytest.mark.step(1)\ndef test_act(loader): assert loader.act() == 23\n"


@pytest.fixture
def acting(course, monkeypatch):
    """The run of a lesson that compiles, with a BCC that needs no kernel."""
    monkeypatch.setenv("PYTHONPATH", FAKE_BCC)
    course.write("test_small.py", ACTS)
    course.write("loader.py", THRICE)
    lesson = small(course)
    return of_lesson(lesson, "lessons", tests=(lesson.tests,))


def test_a_compile_is_said_where_the_test_itself_waits_for_it(acting):
    said = []
    assert outcome.run(AgentLab(), acting, said.append).green
    assert said == ["restored, 1 test", "test 1 of 1: test_act", "test 1 of 1: compiling"]


def test_a_run_that_holds_says_when_it_has_compiled(acting):
    lab = AgentLab(acting)
    with lab.open() as guest:
        assert guest.channel.expect(Precompiled, DEADLINE_S).seconds > 0


SPEC = """
import os
import pytest

@pytest.mark.step(1)
def test_one(kernel):
    assert (kernel.maps(), kernel.programs(), kernel.pins()) == (set(), set(), [])

@pytest.mark.step(2)
def test_two(kernel, loader):
    with loader.load():
        pass
    assert kernel.pins() == ["/sys/fs/bpf/kept"]
    os.unlink("/sys/fs/bpf/kept")
"""
PROGRAM = """
BPF_ARRAY(counts, u64, 1);
BPF_TABLE_PINNED("hash", u32, u64, kept, 16, "/sys/fs/bpf/kept");
TRACEPOINT_PROBE(sched, sched_process_exit) { counts.increment(0); return 0; }
"""
LOADER = """
from pathlib import Path
from bcc import BPF
def load(): return BPF(text=Path(__file__).with_name("small.bpf.c").read_text())
"""


@pytest.mark.guest
def test_what_was_compiled_ahead_leaves_nothing_in_the_kernel(course):
    course.write("test_small.py", SPEC)
    course.write("loader.py", LOADER)
    course.write("small.bpf.c", PROGRAM)
    (course.root / "solutions/90-small/loader.py").write_text(LOADER)
    lesson = catalog.load(course.root / "lessons/90-small")
    asked, said = verify.specification(lesson, "lessons", 5), []
    with VirtualLab(saved.ensure(default(), print)) as lab:
        lab.begin(asked.files, asked.message(lab.deadlines))
        lab.wait_until_begun()
        view = verify.verify(lab, lesson, "lessons", said.append, 5)
    assert [(one.verdict.kind, one.verdict.text) for one in view.steps] == [("done", ""), ("done", "")]
    assert said == ["restored, 2 tests", "test 1 of 2: test_one", "test 2 of 2: test_two", "test 2 of 2: compiling"]
