"""Lesson 08: what a tool that follows a command and all its children has to do."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

CALLS = 23  # as many as tree.c makes
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
PIPE = Path("/tmp/tree-pipe")


class Tree:
    """A process of tree.c, which does what letters say."""

    def __init__(self, program):
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self._process.pid
        self.do(b"?")  # Popen returns within the exec, before its tracepoint

    def do(self, letter, answers=1):
        """Send a letter; return the number that it answers, or a list of several."""
        self._process.stdin.write(letter)
        found = [int(self._process.stdout.readline()) for _ in range(answers)]
        return found[0] if answers == 1 else found

    def send(self, letter):
        """Send a letter that is not answered."""
        self._process.stdin.write(letter)

    def end(self):
        """Let it exit, and wait for that."""
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
    """What the rings have delivered."""
    log = loader.Log()
    loader.open_rings(bpf, log)
    return log


@pytest.fixture
def log(rings, bpf):
    """`log()`: all that has arrived in this test, processes in the order of their exits."""
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
    """`tree()`: a new process of tree.c; no process is followed yet."""
    forget(bpf)
    started = []

    def start():
        started.append(Tree(program))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def forget(bpf):
    """Empty `followed`. Processes of the last test may still be exiting, and BCC's clear() raises if one is gone."""
    for key in bpf["followed"]:
        with contextlib.suppress(KeyError):
            del bpf["followed"][key]


def followed(bpf):
    """Process id → what the map holds of it."""
    return {key.value: value for key, value in bpf["followed"].items()}


def is_zombie(pid):
    """Whether the first thread has exited; it becomes a zombie after its exit's tracepoint (do_exit, Linux 6.12)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def numbers(found):
    """Process ids, for people."""
    return ", ".join(map(str, sorted(found))) or "none"


def assert_followed(bpf, expected, sentence, among=None):
    """Exactly these processes are in `followed` (looking at those in `among` alone)."""
    seen = set(followed(bpf))
    seen = seen if among is None else seen & among
    if seen != expected:
        pytest.fail(
            f"{sentence}: {numbers(expected)} have to be in followed; "
            f"missing: {numbers(expected - seen)}; not expected: {numbers(seen - expected)}"
        )


def child_of(bpf, pid):
    """The entry of a child that was born, which has to be there."""
    known = followed(bpf)
    assert pid in known, f"child {pid} was born; it has no entry in followed, which holds {numbers(known)}"
    return known[pid]


def assert_ended(log, expected, sentence):
    """Each of these processes has been reported once, no other."""
    seen = sorted(process.pid for process in log().processes)
    if seen != sorted(expected):
        pytest.fail(f"{sentence}: `ended` has to report pids {numbers(expected)}; it reported {numbers(seen)}")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


@pytest.mark.step(1)
def test_a_process_and_all_that_live_below_it_are_followed(loader, bpf, tree):
    root = tree()
    below = {root.do(b"f"), root.do(b"f"), *root.do(b"g", answers=2)}
    forget(bpf)
    loader.follow(bpf, root.pid)
    assert_followed(bpf, {root.pid} | below, "a process and four descendants lived before follow()")


@pytest.mark.step(1)
def test_descendants_of_descendants_are_followed(loader, bpf, tree):
    root = tree()
    child, grandchild = root.do(b"g", answers=2)
    forget(bpf)
    loader.follow(bpf, os.getpid())
    family = {os.getpid(), root.pid, child, grandchild}
    assert_followed(bpf, family, "four generations lived before follow()", among=family)


@pytest.mark.step(1)
def test_a_followed_child_hides_no_sibling(loader, bpf, tree):
    root = tree()
    below = [root.do(b"f") for _ in range(3)]
    for known in below:
        forget(bpf)
        loader.enter(bpf, known)
        loader.follow(bpf, root.pid)
        assert_followed(bpf, {root.pid, *below}, f"{known} was in followed before follow()")


@pytest.mark.step(1)
def test_no_other_process_is_followed(loader, bpf, tree):
    other, root = tree(), tree()
    loader.follow(bpf, root.pid)
    other.do(b"f")
    assert_followed(bpf, {root.pid}, f"only {root.pid} is followed, and another process made a child")


@pytest.mark.step(2)
def test_a_child_that_is_born_later_is_followed(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    child, (one, two) = root.do(b"f"), root.do(b"g", answers=2)
    assert_followed(bpf, {root.pid, child, one, two}, "a followed process has two children and a grandchild")
    known = followed(bpf)[child]
    assert known.parent == root.pid, f"process {root.pid} made child {child}; its entry says parent {known.parent}"
    assert known.pid == child, f"the entry of child {child} says pid {known.pid}"


@pytest.mark.step(2)
def test_a_child_has_a_name_and_a_time_from_its_birth_on(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    before_ns = time.monotonic_ns()
    child = root.do(b"f")
    known, after_ns = child_of(bpf, child), time.monotonic_ns()
    name, comm = Path(f"/proc/{child}/comm").read_text().rstrip("\n"), known.comm.decode(errors="replace")
    assert comm == name, f"child {child} is called {name!r}; the comm of its entry is {comm!r}"
    if not before_ns <= known.start_ns <= after_ns:
        pytest.fail(f"child {child} was born {before_ns} to {after_ns} ns after boot; its start_ns is {known.start_ns}")


@pytest.mark.step(2)
def test_a_child_has_the_name_that_its_maker_has_then(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"n")
    child = root.do(b"f")
    comm = child_of(bpf, child).comm
    assert comm == b"renamed", (
        f"its maker had renamed itself 'renamed' before it made the child; the child's comm is {comm!r}"
    )


@pytest.mark.step(2)
def test_a_child_in_its_maker_s_memory_is_a_process_of_its_own(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"v")
    assert_followed(bpf, {root.pid, child}, "a child of posix_spawn shares its maker's memory, and is a process")
    counts = {pid: process.threads for pid, process in followed(bpf).items()}
    if counts != {root.pid: 1, child: 1}:
        pytest.fail(
            f"after a posix_spawn each process has 1 thread; {counts[root.pid]} and {counts[child]} are counted"
        )


@pytest.mark.step(2)
def test_a_child_of_two_threads_has_one(loader, bpf, tree):
    root = tree()
    root.do(b"t")
    loader.follow(bpf, root.pid)
    child = root.do(b"f")
    counted = child_of(bpf, child).threads
    assert counted == 1, f"a process with 2 threads forked, which copies only one; its child has threads = {counted}"


@pytest.mark.step(2)
def test_a_child_begins_to_count_at_zero(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"c")
    child = child_of(bpf, root.do(b"f"))
    for name in ("opens", "calls", "open_ns", "call_ns"):
        counted = getattr(child, name)
        assert counted == 0, f"a child begins at 0, whatever its maker has done; its {name} is {counted}"


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
    assert_followed(bpf, {root.pid, *born}, "a child was born after its parent's children had been looked up")


@pytest.mark.step(2)
def test_the_parent_of_a_thread_s_child_is_the_process(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    parent = child_of(bpf, root.do(b"b")).parent
    assert parent == root.pid, f"a second thread of process {root.pid} made a child; the child's parent is {parent}"


@pytest.mark.step(2)
def test_a_thread_is_no_process(loader, bpf, tree):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"t")
    assert_followed(bpf, {root.pid}, "a second thread is no process")
    counted = followed(bpf)[root.pid].threads
    assert counted == 2, f"a process started a second thread, it has 2; its entry says threads = {counted}"


@pytest.mark.step(3)
def test_an_entry_goes_when_no_ring_is_open(loader, bpf, tree, eventually):
    """Before the rings are opened, perf_submit fails."""
    root = tree()
    loader.follow(bpf, root.pid)
    root.kill()
    eventually(lambda: not followed(bpf), "the process to be out of the map")


@pytest.mark.step(3)
def test_each_process_is_reported_once(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    children = [root.do(b"o") for _ in range(3)]
    root.end()
    eventually(lambda: not followed(bpf), "all processes to be out of the map")
    assert_ended(log, [root.pid, *children], "four processes exited")


def reported(log, pid):
    """The one report of a process that has exited."""
    found = [process for process in log().processes if process.pid == pid]
    assert len(found) == 1, f"process {pid} exited; `ended` reported it {len(found)} times, expected once"
    return found[0]


@pytest.mark.step(3)
def test_its_opens_and_its_calls_are_counted(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"o")
    eventually(lambda: child not in followed(bpf), "the child to be out of the map")
    process = reported(log, child)
    assert process.opens == CALLS, f"process {child} called openat {CALLS} times; its opens is {process.opens}"
    assert process.calls == CALLS, f"process {child} called usleep {CALLS} times; its calls is {process.calls}"
    opened = sum(event.path == b"/dev/null" for event in log().opens if event.pid == child)
    assert opened == CALLS, f"process {child} opened /dev/null {CALLS} times; {opened} of its opens say so"


@pytest.mark.step(3)
def test_times_lie_within_the_life_of_the_process(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    child = root.do(b"o")
    eventually(lambda: child not in followed(bpf), "the child to be out of the map")
    process = reported(log, child)
    lived_ns, inside_ns = process.end_ns - process.start_ns, process.open_ns + process.call_ns
    assert 0 < inside_ns < lived_ns, f"process {child} lived {lived_ns} ns; its opens and calls took {inside_ns} ns"
    least_ns = CALLS * 1000
    assert process.call_ns >= least_ns, (
        f"{CALLS} sleeps of 1 us take {least_ns} ns at least; call_ns is {process.call_ns}"
    )


@pytest.mark.step(3)
def test_the_exit_of_a_thread_is_not_the_end(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"t")
    root.do(b"j")
    eventually(lambda: threads(root.pid) == 1, "the thread to be gone")
    assert_ended(log, [], f"a second thread of process {root.pid} exited, the process still runs")
    assert_followed(bpf, {root.pid}, "a second thread exited, the process still runs")
    counted = followed(bpf)[root.pid].threads
    assert counted == 1, f"process {root.pid} had 2 threads and one has exited; its entry says threads = {counted}"


@pytest.mark.step(3)
def test_the_exit_of_the_first_thread_is_not_the_end(loader, bpf, tree, log, eventually):
    root = tree()
    root.do(b"t")
    loader.follow(bpf, root.pid)
    root.send(b"l")
    eventually(lambda: is_zombie(root.pid), "the first thread to end")
    assert_ended(log, [], f"the first thread of process {root.pid} exited, its second one still runs")
    root.kill()
    eventually(lambda: root.pid not in followed(bpf), "the process to be out of the map")
    assert_ended(log, [root.pid], "its last thread exited")


@pytest.mark.step(3)
def test_an_exec_goes_on_in_the_same_process(loader, bpf, tree, log, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"c")
    root.do(b"e")
    root.do(b"c")
    root.end()
    eventually(lambda: not followed(bpf), "the process to be out of the map")
    assert_ended(log, [root.pid], "one process called usleep, became another program, called usleep again, and exited")
    process = reported(log, root.pid)
    assert process.execs == 1, f"process {root.pid} called execve once; its execs is {process.execs}"
    assert process.calls == 2 * CALLS, (
        f"process {root.pid} called usleep {CALLS} times before execve and {CALLS} after; its calls is {process.calls}"
    )


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
    if told != [CALLS, 0]:
        pytest.fail(
            f"two processes had pid {first.pid}, one after the other: the first made {CALLS} calls, the second 0; "
            f"{len(told)} were reported, with calls {numbers(told)}"
        )


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
    assert left == 0, f"a process was killed inside usleep; entries left in calling: {left}, expected 0"


@pytest.mark.step(5)
def test_a_thread_that_ends_in_a_call_leaves_nothing_in_flight(loader, bpf, tree, eventually):
    root = tree()
    loader.follow(bpf, root.pid)
    root.do(b"d")
    eventually(lambda: len(bpf["calling"]) == 1, "the thread to be inside usleep")
    root.do(b"k")
    eventually(lambda: threads(root.pid) == 1, "the thread to end")
    left = len(bpf["calling"])
    assert left == 0, f"a thread exited inside usleep, its process lives; entries left in calling: {left}, expected 0"


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
    left = len(bpf["opening"])
    assert left == 0, f"a process was killed inside openat; entries left in opening: {left}, expected 0"


def assert_same_json(data, expected):
    """The same names and values, of the same types: 23.0 and "23" are not 23."""
    for name in expected:
        assert name in data, f"json_line() has to write the field {name!r}; it wrote {', '.join(sorted(data))}"
        value, right = json.dumps(data[name]), json.dumps(expected[name])
        assert value == right, f"json_line() wrote {name}: {value}; expected {right}"
    more = sorted(data.keys() - expected.keys())
    if more:
        pytest.fail(f"json_line() wrote {len(more)} fields that the event does not have: {', '.join(more)}")


@pytest.mark.step(6)
@pytest.mark.parametrize("path", [b"/etc/hosts", b'a"b', b" a \n", b"a\\b", b"{}", "ü".encode(), b"\xff\xfe", b""])
def test_any_path_is_one_line_of_json_and_comes_back_whole(loader, path):
    event = loader.Opened(pid=23, path=path, result=-2, time_ns=5, took_ns=7)
    line = loader.json_line(event)
    same = event == loader.Opened(pid=23, path=path, result=-2, time_ns=5, took_ns=7)
    assert same, f"json_line() changed the event itself: {event}"
    breaks = line.count("\n")
    assert breaks == 0, f"json_line() must return one line; that of the path {path!r} has {breaks} line breaks"
    data = json.loads(line.encode())
    back = os.fsencode(data.pop("path"))
    assert back == path, f"the path {path!r} comes back from json_line() as {back!r}"
    assert_same_json(data, {"type": "open", "pid": 23, "result": -2, "time_ns": 5, "took_ns": 7})


@pytest.mark.step(6)
def test_a_process_is_one_line_of_json(loader):
    fields = dict.fromkeys(loader.Process.__dataclass_fields__, 23) | {"comm": 'a "b"'}
    line = loader.json_line(loader.Process(**fields))
    assert_same_json(json.loads(line), fields | {"type": "process"})
