"""Lesson 08: what a tool has to do that follows a command and all its children."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

CALLS = 23  # tree.c makes as many
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
PIPE = Path("/tmp/tree-pipe")


class Tree:
    """A process of tree.c, which does what letters tell it."""

    def __init__(self, program):
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self._process.pid
        self.do(b"?")  # Popen returns within the exec, before its tracepoint

    def do(self, letter, answers=1):
        """Send a letter; the number it answers, or a list of several."""
        self._process.stdin.write(letter)
        found = [int(self._process.stdout.readline()) for _ in range(answers)]
        return found[0] if answers == 1 else found

    def send(self, letter):
        """A letter that is not answered."""
        self._process.stdin.write(letter)

    def end(self):
        """Let it end, and wait for that."""
        self._process.communicate()

    def kill(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached, once for all tests of this file; the library call it counts is usleep."""
    bpf = loader.load("c", "usleep")
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def rings(loader, bpf):
    """What the rings have brought."""
    log = loader.Log()
    loader.open_rings(bpf, log)
    return log


@pytest.fixture
def log(rings, bpf):
    """`log()`: all that has arrived in this test, processes in the order of their ends."""
    bpf.perf_buffer_consume()
    rings.opens.clear()
    rings.processes.clear()

    def read():
        bpf.perf_buffer_consume()
        rings.processes.sort(key=lambda process: process.end_ns)
        return rings

    return read


@pytest.fixture(scope="module")
def program(native):
    return native("tree.c")


@pytest.fixture
def tree(program, bpf):
    """`tree()`: a new process of tree.c; nobody is followed yet."""
    forget(bpf)
    started = []

    def start():
        started.append(Tree(program))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def forget(bpf):
    """Empty `followed`. Processes of the last test may still be ending, and BCC's clear() raises where one is gone."""
    for key in bpf["followed"]:
        with contextlib.suppress(KeyError):
            del bpf["followed"][key]


def followed(bpf):
    """Process id → what the map holds of it."""
    return {key.value: value for key, value in bpf["followed"].items()}


def is_zombie(pid):
    """Whether the first thread has ended; it becomes a zombie behind its exit's tracepoint (do_exit, Linux 6.12)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


@pytest.mark.step(1)
def test_a_process_and_all_that_live_below_it_are_followed(loader, bpf, tree):
    root = tree()
    below = {root.do(b"f"), root.do(b"f"), *root.do(b"g", answers=2)}
    forget(bpf)
    loader.follow(bpf, root.pid)
    assert set(followed(bpf)) == {root.pid} | below, "these are in the map, and these live below the root"


@pytest.mark.step(1)
def test_descendants_of_descendants_are_followed(loader, bpf, tree):
    root = tree()
    child, grandchild = root.do(b"g", answers=2)
    forget(bpf)
    loader.follow(bpf, os.getpid())
    family = {os.getpid(), root.pid, child, grandchild}
    assert set(followed(bpf)) & family == family, "of four generations, these are in the map"


@pytest.mark.step(1)
def test_who_is_followed_already_hides_nobody(loader, bpf, tree):
    root = tree()
    below = [root.do(b"f") for _ in range(3)]
    for known in below:
        forget(bpf)
        loader.enter(bpf, known)
        loader.follow(bpf, root.pid)
        assert set(followed(bpf)) == {root.pid, *below}, f"{known} was in the map before; right: all that live"


@pytest.mark.step(1)
def test_nobody_else_is_followed(loader, bpf, tree):
    other, root = tree(), tree()
    loader.follow(bpf, root.pid)
    other.do(b"f")
    assert set(followed(bpf)) == {root.pid}


@pytest.mark.step(2)
def test_a_child_that_is_born_later_is_followed(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    child, (one, two) = root.do(b"f"), root.do(b"g", answers=2)
    assert set(followed(bpf)) == {root.pid, child, one, two}, "these are in the map, and these were born"
    assert followed(bpf)[child].parent == root.pid
    assert followed(bpf)[child].pid == child


@pytest.mark.step(2)
def test_a_child_has_a_name_and_a_time_from_its_birth_on(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    before_ns = time.monotonic_ns()
    child = root.do(b"f")
    known, after_ns = followed(bpf)[child], time.monotonic_ns()
    assert known.comm.decode() == Path(f"/proc/{child}/comm").read_text().rstrip("\n")
    assert before_ns <= known.start_ns <= after_ns, f"born between {before_ns} and {after_ns} ns"


@pytest.mark.step(2)
def test_a_child_has_the_name_that_its_maker_has_then(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"n")
    child = root.do(b"f")
    assert followed(bpf)[child].comm == b"renamed"


@pytest.mark.step(2)
def test_a_child_in_its_maker_s_memory_is_a_process_of_its_own(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"v")
    known = {pid: process.threads for pid, process in followed(bpf).items()}
    assert known == {root.pid: 1, child: 1}, "threads by process, after a posix_spawn"


@pytest.mark.step(2)
def test_a_child_begins_to_count_at_zero(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"c")
    born = root.do(b"f")
    child = followed(bpf)[born]
    assert (child.opens, child.calls, child.open_ns, child.call_ns) == (0, 0, 0, 0), "its maker has opened and called"


@pytest.mark.step(2)
def test_a_child_that_is_born_while_follow_looks_is_followed(loader, bpf, tree, monkeypatch):
    root, look, born = tree(), loader.children, []

    def look_and_see_one_born(pid):
        found = look(pid)
        if not born:
            born.append(root.do(b"f"))
        return found

    monkeypatch.setattr(loader, "children", look_and_see_one_born)
    loader.follow(bpf, root.pid)
    assert set(followed(bpf)) == {root.pid, *born}, "a child was born after its parent's children had been looked up"


@pytest.mark.step(2)
def test_the_parent_of_a_thread_s_child_is_the_process(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"b")
    assert followed(bpf)[child].parent == root.pid


@pytest.mark.step(2)
def test_a_thread_is_no_process(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"t")
    known = {pid: process.threads for pid, process in followed(bpf).items()}
    assert known == {root.pid: 2}, "a process with a second thread is one process with two threads"


@pytest.mark.step(3)
def test_the_end_is_the_end_where_nobody_listens(loader, bpf, tree, eventually):
    """Before the rings are opened: perf_submit says no."""
    root = tree()
    loader.follow(bpf, root.pid)
    root.kill()
    eventually(lambda: not followed(bpf), "the process to be out of the map")


@pytest.mark.step(3)
def test_each_process_is_told_once_when_it_ends(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    children = [root.do(b"o") for _ in range(3)]
    root.end()
    eventually(lambda: not followed(bpf), "all processes to be out of the map")
    told = sorted(process.pid for process in log().processes)
    assert told == sorted([root.pid, *children])


@pytest.mark.step(3)
def test_its_opens_and_its_calls_are_counted(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"o")
    eventually(lambda: child not in followed(bpf), "the child to be out of the map")
    told = [(p.opens, p.calls) for p in log().processes if p.pid == child]
    assert told == [(CALLS, CALLS)]
    opened = [event.path for event in log().opens if event.pid == child]
    assert opened == [b"/dev/null"] * CALLS


@pytest.mark.step(3)
def test_times_lie_within_the_life_of_the_process(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"o")
    eventually(lambda: child not in followed(bpf), "the child to be out of the map")
    (told,) = [process for process in log().processes if process.pid == child]
    lived_ns = told.end_ns - told.start_ns
    assert 0 < told.open_ns + told.call_ns < lived_ns
    assert told.call_ns >= CALLS * 1000, f"{CALLS} sleeps of a microsecond took {told.call_ns} ns"


@pytest.mark.step(3)
def test_the_exit_of_a_thread_is_not_the_end(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"t")
    root.do(b"j")
    eventually(lambda: threads(root.pid) == 1, "the thread to be gone")
    assert [process.pid for process in log().processes] == [], "a process was told to have ended that still runs"
    assert followed(bpf)[root.pid].threads == 1


@pytest.mark.step(3)
def test_the_exit_of_the_first_thread_is_not_the_end(loader, bpf, tree, log, eventually):
    root = tree()
    root.do(b"t")
    loader.follow(bpf, root.pid)
    root.send(b"l")
    eventually(lambda: is_zombie(root.pid), "the first thread to end")
    assert [process.pid for process in log().processes] == [], "its other thread still runs"
    root.kill()
    eventually(lambda: root.pid not in followed(bpf), "the process to be out of the map")
    assert [process.pid for process in log().processes] == [root.pid]


@pytest.mark.step(3)
def test_an_exec_goes_on_in_the_same_process(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"c")
    root.do(b"e")
    root.do(b"c")
    root.end()
    eventually(lambda: not followed(bpf), "the process to be out of the map")
    told = [(process.pid, process.execs, process.calls) for process in log().processes]
    assert told == [(root.pid, 1, 2 * CALLS)]


@pytest.mark.step(3)
def test_a_pid_that_is_used_again_is_a_new_process(loader, bpf, tree, log, eventually):
    first = tree()
    loader.follow(bpf, first.pid)
    first.do(b"c")
    first.end()
    eventually(lambda: threads_gone(first.pid), "the first process to be gone")

    def again():
        LAST_PID.write_text(str(first.pid - 1))
        second = tree()
        return second if second.pid == first.pid else None

    second = eventually(again, f"the kernel to give pid {first.pid} a second time")
    loader.follow(bpf, second.pid)
    second.end()
    eventually(lambda: not followed(bpf), "the second process to be out of the map")
    told = [process.calls for process in log().processes if process.pid == first.pid]
    assert told == [CALLS, 0], "calls of the first process, and of the second one, which made none"


def threads_gone(pid):
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.step(5)
def test_a_process_killed_in_a_call_leaves_nothing_in_flight(loader, bpf, tree, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"u")
    eventually(lambda: len(bpf["calling"]) == 1, "the child to be inside usleep")
    os.kill(child, signal.SIGKILL)
    eventually(lambda: child not in followed(bpf), "the child to be out of the map")
    left = len(bpf["calling"])
    assert left == 0, f"{left} calls of processes that are gone stay in the map"


@pytest.mark.step(5)
def test_a_thread_that_ends_in_a_call_leaves_nothing_in_flight(loader, bpf, tree, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"d")
    eventually(lambda: len(bpf["calling"]) == 1, "the thread to be inside usleep")
    root.do(b"k")
    eventually(lambda: threads(root.pid) == 1, "the thread to end")
    left = len(bpf["calling"])
    assert left == 0, f"{left} calls of threads that are gone stay in the map; their process lives"


@pytest.mark.step(5)
def test_a_process_killed_in_an_open_leaves_nothing_in_flight(loader, bpf, tree, eventually):
    PIPE.unlink(missing_ok=True)
    os.mkfifo(PIPE)
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"p")
    eventually(lambda: len(bpf["opening"]) == 1, "the child to be inside open")
    os.kill(child, signal.SIGKILL)
    eventually(lambda: child not in followed(bpf), "the child to be out of the map")
    assert len(bpf["opening"]) == 0


@pytest.mark.step(6)
@pytest.mark.parametrize("path", [b"/etc/hosts", b'a"b', b" a \n", b"a\\b", b"{}", "ü".encode(), b"\xff\xfe", b""])
def test_any_path_is_one_line_of_json_and_comes_back_whole(loader, path):
    event = loader.Opened(pid=23, path=path, result=-2, time_ns=5, took_ns=7)
    line = loader.json_line(event)
    assert event == loader.Opened(pid=23, path=path, result=-2, time_ns=5, took_ns=7), "the event itself was changed"
    assert "\n" not in line
    data = json.loads(line.encode())
    back = os.fsencode(data.pop("path"))
    assert back == path, f"the path {path!r} comes back from the JSON line as {back!r}"
    assert data == {"type": "open", "pid": 23, "result": -2, "time_ns": 5, "took_ns": 7}


@pytest.mark.step(6)
def test_a_process_is_one_line_of_json(loader):
    fields = dict.fromkeys(loader.Process.__dataclass_fields__, 23) | {"comm": 'a "b"'}
    line = loader.json_line(loader.Process(**fields))
    assert json.loads(line) == fields | {"type": "process"}
