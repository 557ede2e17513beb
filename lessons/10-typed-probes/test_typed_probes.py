"""Lesson 10: what typed probes see of the calls that lock a file, of those that sleep in them, and of the rest."""

import fcntl
import os
import signal
import struct
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from bcc import BPF

CALLS = 23
SETLK, SETLKW = fcntl.F_SETLK, fcntl.F_SETLKW
OFD_SETLK, OFD_SETLKW = fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW
READ, WRITE, UNLOCK = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
PLACES = max(10, 2 * os.cpu_count())
"""What the kernel keeps for a kretprobe's calls in flight (kernel/kprobes.c, register_kretprobe())."""
SLEEPERS = PLACES + 13
CONTROL = """#include <uapi/linux/ptrace.h>
BPF_HASH(seen, u32, u64);
int count(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 none = 0, *n = seen.lookup_or_try_init(&pid, &none);
    if (n)
        lock_xadd(n, 1);
    return 0;
}"""


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def ring(loader, bpf):
    """The program's ring, which can be opened once."""
    return loader.Events(bpf)


@pytest.fixture
def seen(bpf, ring):
    """`seen(pid)`: all events of that process, in order. Nothing of earlier tests is left."""
    ring.read()
    bpf["calls"].clear()
    found = []

    def of(pid):
        found.extend(ring.read())
        return [event for event in found if event.pid == pid]

    return of


def returns(events):
    return [event for event in events if event.result is not None]


def waits(events):
    return [event for event in events if event.result is None]


def request(fd, command=SETLK, kind=WRITE, start=0, length=1, whence=os.SEEK_SET):
    """One fcntl(2) of a lock; the error number, or 0."""
    asked = struct.pack("@hhqqi4x", kind, whence, start, length, 0)
    try:
        fcntl.fcntl(fd, command, asked)
    except OSError as error:
        return error.errno
    return 0


@pytest.fixture
def path(tmp_path):
    """A file that nothing else locks."""
    path = tmp_path / "lock"
    path.touch()
    return path


@pytest.fixture
def process(path, workload):
    """`process(work)`: a process, waiting, that opens the file and calls work(fd)."""

    def start(work):
        def opened():
            with path.open("r+b") as file:
                return work(file.fileno())

        return workload(opened)

    return start


@pytest.fixture
def hold(path):
    """`hold(start, length)`: this test has a lock on these bytes; the function returned gives it back."""
    with ExitStack() as held:

        def take(start=0, length=0):
            file = held.enter_context(path.open("r+b"))
            refused = request(file.fileno(), OFD_SETLK, WRITE, start, length)
            assert refused == 0, f"the test could not lock {length} bytes from {start} on: errno {refused}"
            return lambda: request(file.fileno(), OFD_SETLK, UNLOCK, start, length)

        yield take


def blocked(pid):
    """For each lock that a process sleeps for, the first byte of the lock in its way (/proc/locks, below that one)."""
    found, first = [], 0
    with open("/proc/locks") as locks:
        for row in locks:
            words = row.split()
            if words[1] != "->":
                first = int(words[6])
            elif words[5] == str(pid):
                found.append(first)
    return found


@pytest.fixture
def asleep(eventually):
    """`asleep(process, n)`: wait until n of its threads sleep in fcntl_setlk."""

    def wait(process, number=1):
        eventually(lambda: len(blocked(process.pid)) == number, f"{number} threads of the workload to wait for a lock")

    return wait


def with_threads(number, one):
    """Call one(n) in as many threads at once, and wait for all."""
    threads = [threading.Thread(target=one, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def the_only(events, what):
    count = len(events)
    assert count == 1, f"{what}: {count} events were sent of it, expected 1"
    return events[0]


@pytest.mark.step(1)
def test_each_call_is_reported(bpf, seen, process):
    one = process(lambda fd: [request(fd) for _ in range(CALLS)])
    one.run()
    count, kept = len(returns(seen(one.pid))), len(bpf["calls"])
    hint = f"; calls holds {kept} entries, of which none is found under the thread's id" if kept and not count else ""
    assert count == CALLS, f"a process asked for {CALLS} locks, {count} of these calls were reported{hint}"


@pytest.mark.step(1)
def test_the_event_holds_the_descriptor(seen, process, rng):
    numbers = rng.sample(range(100, 1000), CALLS)

    def work(fd):
        for number in numbers:
            os.dup2(fd, number)
            request(number)

    one = process(work)
    one.run()
    found = [event.fd for event in returns(seen(one.pid))]
    wrong = sum(f != n for f, n in zip(found, numbers, strict=False)) + abs(len(found) - CALLS)
    assert wrong == 0, (
        f"a process locked {CALLS} descriptors, beginning with {numbers[:3]}: in {wrong} events fd is another; "
        f"they begin with {found[:3]}"
    )


@pytest.mark.step(1)
@pytest.mark.parametrize(
    ("name", "command", "due"),
    [("F_SETLK", SETLK, False), ("F_SETLKW", SETLKW, True), ("F_OFD_SETLK", OFD_SETLK, False),
     ("F_OFD_SETLKW", OFD_SETLKW, True)],
)  # fmt: skip
def test_the_event_says_whether_the_call_may_wait(seen, process, name, command, due):
    one = process(lambda fd: request(fd, command))
    one.run()
    event = the_only(returns(seen(one.pid)), f"a process called fcntl with {name}")
    assert event.may_wait == due, f"a process called fcntl with {name}: the event's may_wait is {event.may_wait}"


@pytest.mark.step(1)
def test_the_time_begins_at_the_entry(seen, process, hold, asleep):
    give_back = hold()
    one = process(lambda fd: request(fd, SETLKW))
    before_ns = time.monotonic_ns()
    one.start()
    asleep(one)
    asleep_ns = time.monotonic_ns()
    time.sleep(0.05)
    least_ns = time.monotonic_ns() - asleep_ns
    give_back()
    one.wait()
    most_ns = time.monotonic_ns() - before_ns
    event = the_only(returns(seen(one.pid)), "a process waited for a lock")
    assert least_ns <= event.took_ns <= most_ns, (
        f"a process was in fcntl_setlk for {least_ns} to {most_ns} ns: the event's took_ns is {event.took_ns}, "
        "the time since began_ns"
    )


@pytest.mark.step(1)
def test_threads_keep_apart(seen, process, hold, asleep, eventually):
    """Two threads of one process are in the call at once; the one that came first leaves last."""
    first, second = hold(0, 1), hold(5, 1)

    def work(fd):
        other = os.dup(fd)
        early = threading.Thread(target=request, args=(fd, SETLKW, WRITE, 0, 1))
        early.start()
        while blocked(os.getpid()) != [0]:
            time.sleep(0.001)
        late = threading.Thread(target=request, args=(other, SETLKW, WRITE, 5, 1))
        late.start()
        early.join()
        late.join()
        return [fd, other]

    one = process(work)
    one.start()
    asleep(one, 2)
    threads = Path(f"/proc/{one.pid}/task")
    before = len(list(threads.iterdir()))
    second()
    eventually(lambda: len(list(threads.iterdir())) < before, "the thread that came last to end")
    first()
    fd, other = one.wait()
    found = [event.fd for event in returns(seen(one.pid))]
    assert found == [other, fd], (
        f"two threads of a process slept in fcntl_setlk at once, with the descriptors {fd} and {other}, and returned "
        f"in the order {[other, fd]}: their events have the descriptors {found}"
    )


@pytest.mark.step(2)
@pytest.mark.parametrize(("name", "kind"), [("F_RDLCK", READ), ("F_WRLCK", WRITE), ("F_UNLCK", UNLOCK)])
def test_the_event_holds_the_kind_of_lock(seen, process, name, kind):
    one = process(lambda fd: [request(fd, kind=kind, whence=whence) for whence in (os.SEEK_SET, os.SEEK_END)])
    one.run()
    found = [event.type for event in returns(seen(one.pid))]
    assert found == [kind] * 2, f"a process asked twice for {name}, which is {kind}: type in its events is {found}"


@pytest.mark.step(2)
@pytest.mark.parametrize(("start", "length"), [(0, 0), (0, 1), (7, 1009), (3 << 32, 5 << 32), (1009, -7)])
def test_the_event_holds_the_bytes(seen, process, start, length):
    one = process(lambda fd: request(fd, start=start, length=length))
    one.run()
    event = the_only(returns(seen(one.pid)), "a process asked for a lock")
    found = event.start, event.length
    assert found == (start, length), (
        f"a process asked for a lock with l_start {start} and l_len {length}: start and length in the event are {found}"
    )


@pytest.mark.step(4)
def test_all_that_sleep_at_once_are_seen_to_return(bpf, seen, process, hold, asleep, control):
    give_back = hold()
    one = process(lambda fd: with_threads(SLEEPERS, lambda n: request(fd, SETLKW, WRITE, n, 1)))
    one.start()
    asleep(one, SLEEPERS)
    give_back()
    one.wait()
    by_kretprobe = control(one.pid)
    assert by_kretprobe < SLEEPERS, (
        f"{SLEEPERS} threads slept at once, and a kretprobe with {PLACES} places saw all of them return: "
        "this kernel has more places, which says nothing about your code"
    )
    count, left = len(returns(seen(one.pid))), len(bpf["calls"])
    assert count == SLEEPERS, (
        f"{SLEEPERS} threads slept in fcntl_setlk at once, {count} were seen to return "
        f"(a kretprobe beside it saw {by_kretprobe})"
    )
    assert left == 0, f"{SLEEPERS} threads slept in fcntl_setlk and returned: {left} of their calls are still in calls"


@pytest.fixture
def control():
    """`control(pid)`: the returns that a kretprobe, attached for this test alone, saw of a process."""
    with BPF(text=CONTROL) as bpf:
        bpf.attach_kretprobe(event=b"fcntl_setlk", fn_name=b"count")
        yield lambda pid: sum(count.value for key, count in bpf["seen"].items() if key.value == pid)


@pytest.mark.step(4)
def test_the_event_holds_the_result(seen, process, path, hold):
    hold(100, 1)

    def work(fd):
        with path.open("rb") as read_only:
            return [
                request(fd), request(fd, start=100), request(read_only.fileno()), request(fd, kind=5), request(fd)
            ]  # fmt: skip

    one = process(work)
    due = [-number for number in one.run()]
    found = [event.result for event in returns(seen(one.pid))]
    assert found == due, (
        f"a process made five calls; what fcntl_setlk returned is {due} (0 or a negative error number): "
        f"the results in its events are {found}"
    )


@pytest.mark.step(4)
def test_a_thread_that_is_killed_returns_too(bpf, seen, process, hold, asleep, eventually):
    hold()
    one = process(lambda fd: request(fd, SETLKW))
    one.start()
    asleep(one)
    os.kill(one.pid, signal.SIGKILL)
    eventually(lambda: not blocked(one.pid), "the killed workload to leave the call")
    event = the_only(eventually(lambda: returns(seen(one.pid)), "an event of the killed workload"), "a call was killed")
    assert event.result == -512, (
        f"a process was killed while it waited, and fcntl_setlk returned -512 (ERESTARTSYS): result is {event.result}"
    )
    left = len(bpf["calls"])
    assert left == 0, f"a process was killed while it waited, and its call returned: {left} entry of it is in calls"


@pytest.mark.step(5)
def test_a_wait_is_reported_as_it_begins(seen, process, hold, asleep, eventually):
    give_back = hold()
    one = process(lambda fd: request(fd, SETLKW, WRITE, 7, 1009) or fd)
    one.start()
    asleep(one)
    events = eventually(lambda: seen(one.pid), "an event of a thread that begins to sleep in fcntl_setlk")
    give_back()
    fd = one.wait()
    event = the_only(waits(events), "a process sleeps in fcntl_setlk")
    assert returns(events) == [], "a process still slept in fcntl_setlk: an event says that it returned"
    found = event.fd, event.type, event.start, event.length
    due = fd, WRITE, 7, 1009
    assert found == due, f"a wait for a lock: fd, type, start and length in its event are {found}, expected {due}"


@pytest.mark.step(5)
def test_what_need_not_wait_is_not_reported_as_waiting(seen, process, hold):
    hold(100, 1)

    def work(fd):
        for n in range(CALLS):
            request(fd, SETLKW, WRITE, n, 1)
            request(fd, SETLK, WRITE, 100, 1)

    one = process(work)
    one.run()
    events = seen(one.pid)
    free = sum(event.start < 100 for event in waits(events))
    failed = len(waits(events)) - free
    assert free == 0, f"a process took {CALLS} locks that were free: {free} were reported as waiting"
    assert failed == 0, f"a process called F_SETLK {CALLS} times for a lock it could not have: {failed} as waiting"


@pytest.mark.step(5)
def test_a_wait_is_reported_once(seen, process, hold, asleep, eventually):
    """The thread wakes when the first lock is free, tries again, and sleeps for the second one."""
    first, second = hold(0, 5), hold(5, 5)
    one = process(lambda fd: request(fd, SETLKW, WRITE, 0, 10))
    one.start()
    asleep(one)
    in_the_way = blocked(one.pid)
    (first if in_the_way == [0] else second)()
    eventually(lambda: blocked(one.pid) not in ([], in_the_way), "the workload to wait for the second lock")
    (second if in_the_way == [0] else first)()
    one.wait()
    count = len(waits(seen(one.pid)))
    assert count == 1, f"one call waited for two locks in turn: {count} events say that it begins to wait, expected 1"


@pytest.mark.step(5)
def test_each_call_that_waits_is_reported(seen, process, hold, asleep, eventually):
    """A thread waits twice, in two calls."""
    first, second = hold(0, 1), hold(5, 1)
    one = process(lambda fd: [request(fd, SETLKW, WRITE, 0, 1), request(fd, SETLKW, WRITE, 5, 1)])
    one.start()
    asleep(one)
    first()
    eventually(lambda: blocked(one.pid) == [5], "the workload to wait for the second lock")
    second()
    one.wait()
    found = [event.start for event in waits(seen(one.pid))]
    assert found == [0, 5], f"a thread waited for byte 0, then in another call for byte 5: the waits begin at {found}"


@pytest.mark.step(6)
def test_a_function_with_types_has_no_reason(loader):
    why = loader.why_not("fcntl_setlk")
    assert why == "", f"BCC attaches a KFUNC_PROBE to fcntl_setlk: why_not('fcntl_setlk') is {why!r}, expected ''"


@pytest.mark.step(6)
def test_a_name_that_is_none_has_its_reason(loader):
    """One of them is the beginning of a name."""
    for name in ("fcntl_setlk_nowhere", "fcntl_setl"):
        why = loader.why_not(name)
        assert why == loader.NO_FUNCTION, f"the kernel has no function {name}: why_not({name!r}) is {why!r}"


@pytest.mark.step(6)
def test_a_function_without_types_has_its_reason(loader, bpf):
    """Its name is not even a word in BTF: on x86 a system call without arguments, elsewhere another function."""
    words = set(Path("/sys/kernel/btf/vmlinux").read_bytes().split(b"\0"))
    symbols = [line.split() for line in Path("/proc/kallsyms").read_bytes().splitlines()]
    functions = [bpf.get_syscall_fnname(b"getppid"), *(row[2] for row in symbols if row[1] == b"T")]
    name = next(name for name in functions if name not in words).decode()
    why = loader.why_not(name)
    assert why == loader.NO_TYPES, f"{name} is in kallsyms, and not in BTF: why_not({name!r}) is {why!r}"


@pytest.mark.step(6)
def test_a_function_that_cannot_be_traced_has_its_reason(loader):
    """It is written in assembly; BTF describes it on newer kernels."""
    why = loader.why_not("memcpy")
    assert why in (loader.NO_TYPES, loader.NO_PLACE), (
        "memcpy is in kallsyms, and written in assembly, so that no fentry program can be put on it: "
        f"why_not('memcpy') is {why!r}"
    )
