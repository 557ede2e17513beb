"""Lesson 04: what a stream of events out of the kernel does."""

import os
import subprocess
import time
from types import SimpleNamespace

import pytest

EXECS = 23
BURST = 211  # more than two rings of one page hold: an event takes 48 bytes there, so 2 * 85 fit
RING = 4096 // 48
CPUS = len(os.sched_getaffinity(0))


class Chain:
    """A process that waits, then becomes one program after another, hopping from CPU to CPU (hop.c)."""

    def __init__(self, hop, folder, names, cpus, **options):
        self.names = names
        self.cpus = [(len(names) - n) % cpus for n in range(len(names))]
        paths = [os.path.join(os.fsencode(folder), name) for name in names]
        for path in paths:
            os.symlink(hop, path)
        self._process = subprocess.Popen(
            [hop, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={"CPUS": str(cpus)},
            **options,
        )
        self.pid = self._process.pid
        self._process.stdout.read(1)

    def step(self):
        """One exec; returns when the program runs."""
        self._process.stdin.write(b"!")
        self._process.stdout.read(1)

    def run(self):
        """All execs that are left; returns when the process has exited."""
        self._process.communicate()
        assert self._process.returncode == 0, f"hop failed ({self._process.returncode})"

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached: once for all tests of this file but the filter's."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def hop(native):
    return native("hop.c")


@pytest.fixture
def chain(hop, tmp_path, rng):
    """`chain(n)`: a process, waiting, that will exec n programs with random names."""
    started = []

    def start(number, cpus=CPUS, names=None, **options):
        names = names or ["".join(rng.choices("abcdefgh", k=12)) + f"-{n:02}" for n in range(number)]
        names = [name.encode() if isinstance(name, str) else name for name in names]
        started.append(Chain(hop, tmp_path, names, cpus, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def close_rings(bpf):
    """Close the rings, so that the next test opens its own."""
    for cpu in range(os.cpu_count()):
        del bpf["events"][cpu]


@pytest.fixture
def raw(bpf):
    """`raw()`: open rings, and a function that reads them."""
    yield lambda: open_raw(bpf)
    close_rings(bpf)


def open_raw(bpf):
    """Open rings; the function returned reads all events as the kernel program made them, without the loader."""
    found = []

    def copy(cpu, data, size):
        event = bpf["events"].event(data)
        found.append(SimpleNamespace(cpu=cpu, size=size, **{name: getattr(event, name) for name, _ in event._fields_}))

    bpf["events"].open_perf_buffer(copy, page_cnt=64)

    def read():
        bpf.perf_buffer_consume()
        return sorted(found, key=lambda event: event.time_ns)

    return read


@pytest.fixture
def stream(loader, bpf):
    """`stream(pages)`: open rings, and the Stream that they fill."""

    def opened(pages=64):
        stream = loader.Stream(bpf)
        loader.open_rings(stream, pages)
        return stream

    yield opened
    close_rings(bpf)


def read(stream):
    """What has arrived in `stream` once the rings are empty."""
    stream.bpf.perf_buffer_consume()
    error = stream.error
    if isinstance(error, NotImplementedError):
        raise error
    if error is not None:
        words = f"on_event() raised {type(error).__name__}: {error}; the event did not get into stream.arrived"
        raise AssertionError(words).with_traceback(error.__traceback__) from None
    return stream.arrived


def expected(chain):
    """What a chain's events say: name and CPU, in order."""
    return list(zip([name.decode(errors="replace") for name in chain.names], chain.cpus, strict=True))


def assert_same(seen, due, what):
    """`seen` are the events that are due, in the same order; both are (name, CPU)."""
    count, execs = len(seen), len(due)
    assert count == execs, f"{execs} execs of one process, {count} of its events are {what}"
    wrong = [n for n in range(count) if seen[n] != due[n]]
    where = f"; the first is event {wrong[0] + 1}: {seen[wrong[0]]}, expected {due[wrong[0]]}" if wrong else ""
    found = len(wrong)
    assert found == 0, f"{found} of {count} events {what} are not the ones due at their place{where}"


class Rings:
    """Stands for BPF: notes how long collect() waits, and how often it reads the rings without waiting."""

    def __init__(self, at_a_wait=lambda: None):
        self.waits, self.reads, self._at_a_wait = [], 0, at_a_wait

    def perf_buffer_poll(self, timeout=-1):
        if timeout == 0:
            self.reads += 1
        else:
            self.waits.append(timeout)
            self._at_a_wait()

    def perf_buffer_consume(self):
        self.reads += 1


def done_after(number):
    """A done() that says no that often, then yes."""
    answers = iter([False] * number + [True] * 9)
    return lambda: next(answers)


@pytest.mark.step(1)
def test_each_exec_submits_one_event(raw, chain):
    one, sent = chain(EXECS), raw()
    one.run()
    events = sent()
    seen, sizes = len([event for event in events if event.pid == one.pid]), sorted({event.size for event in events})
    others = f"; the rings hold {len(events)} events, of {sizes} bytes" if events and not seen else ""
    assert seen == EXECS, f"{EXECS} execs of one process put {seen} of its events into the rings{others}"


@pytest.mark.step(1)
def test_the_event_holds_the_new_programs_name(raw, chain):
    one, sent = chain(EXECS), raw()
    one.run()
    names = [event.comm for event in sent() if event.pid == one.pid]
    count = len(names)
    assert count == EXECS, f"{EXECS} execs of one process put {count} of its events into the rings"
    wrong = [(name, due) for name, due in zip(names, one.names, strict=True) if name != due]
    first = f"; the first has {wrong[0][0]!r}, the program is called {wrong[0][1]!r}" if wrong else ""
    found = len(wrong)
    assert found == 0, f"{found} of {count} events have another comm than the new program's name{first}"


@pytest.mark.step(1)
def test_the_event_holds_the_users_id(raw, chain, rng):
    uid, gid = rng.sample(range(1000, 60000), 2)

    def become_user():
        os.setresgid(gid, 0, 0)
        os.setresuid(uid, 0, 0)

    one, sent = chain(3, preexec_fn=become_user), raw()
    one.run()
    uids = [event.uid for event in sent() if event.pid == one.pid]
    found = len(uids)
    assert found == 3, f"3 execs of one process put {found} of its events into the rings"
    another = ": that is its group" if uids[0] == gid else ""
    assert uids[0] == uid, f"the process has the user id {uid}, the event's uid is {uids[0]}{another}"
    found = len(set(uids))
    assert found == 1, f"3 events of one process have {found} different uids"


@pytest.mark.step(1)
def test_the_event_holds_the_time_of_the_exec(raw, chain):
    one, sent = chain(3), raw()
    moments = [time.monotonic_ns()]
    for _ in one.names:
        one.step()
        moments.append(time.monotonic_ns())
    stamps = [event.time_ns for event in sent() if event.pid == one.pid]
    found = len(stamps)
    assert found == 3, f"3 execs of one process put {found} of its events into the rings"
    for before, stamp, after in zip(moments, stamps, moments[1:], strict=False):
        assert before <= stamp <= after, (
            f"an exec between {before} and {after} ns on the monotonic clock: the event's time_ns is {stamp}"
        )


@pytest.mark.step(2)
def test_events_arrive_from_all_cpus(stream, chain):
    one, opened = chain(EXECS), stream()
    one.run()
    arrived = sorted(((event.comm, event.cpu) for event in read(opened) if event.pid == one.pid), key=repr)
    assert_same(arrived, sorted(expected(one), key=repr), "in stream.arrived")


@pytest.mark.step(2)
def test_an_event_is_an_event_of_the_loaders(loader, stream, chain):
    one, opened = chain(1), stream()
    before_ns = time.monotonic_ns()
    one.run()
    after_ns = time.monotonic_ns()
    events = [event for event in read(opened) if event.pid == one.pid]
    found = len(events)
    assert found == 1, f"1 exec of a process, {found} of its events are in stream.arrived"
    [event] = events
    kind = type(event).__name__
    assert isinstance(event, loader.Event), f"on_event() put a {kind} into stream.arrived, expected an Event"
    for field, due in (("cpu", one.cpus[0]), ("pid", one.pid), ("uid", os.getuid()), ("comm", one.names[0].decode())):
        value = getattr(event, field)
        assert value == due, f"the Event's {field} is {value!r}, expected {due!r}"
        assert type(value) is type(due), f"the Event's {field} is a {type(value).__name__}, not {type(due).__name__}"
    time_ns = event.time_ns
    assert type(time_ns) is int, f"the Event's time_ns is {time_ns!r}, expected an int"
    assert before_ns <= time_ns <= after_ns, (
        f"an exec between {before_ns} and {after_ns} ns: the Event's time_ns is {time_ns}"
    )


@pytest.mark.step(2)
def test_no_name_is_too_strange(stream, chain):
    names = [b"\xff\xfe-0", " ä\n".encode(), b"a\xff"]
    one, opened = chain(3, names=names), stream()
    one.run()
    arrived = sorted(event.comm for event in read(opened) if event.pid == one.pid)
    found = len(arrived)
    assert found == 3, f"3 programs with odd names were started, {found} events are in stream.arrived"
    for seen, due in zip(arrived, sorted(name.decode(errors="replace") for name in names), strict=True):
        assert seen == due, (
            f"the Event's comm is {seen!r}, expected {due!r}: a replacement character for each byte that is not valid "
            "UTF-8, all else unchanged"
        )


@pytest.mark.step(2)
def test_events_stay_as_they_were(stream, chain):
    """The next events go into the same memory: a ring of one page is overwritten from end to end."""
    one, opened = chain(EXECS, cpus=1), stream(pages=1)
    one.run()
    events = list(read(opened))
    stamps = [event.time_ns for event in events]
    chain(RING + 1, cpus=1).run()
    later = [event.time_ns for event in events]
    found = len(stamps)
    assert found == EXECS, f"{EXECS} execs, {found} events are in stream.arrived"
    changed = sum(now != then for now, then in zip(later, stamps, strict=True))
    assert changed == 0, f"{changed} of {EXECS} events in stream.arrived changed when the ring was used again"


@pytest.mark.step(3)
def test_collect_never_waits_for_ever(loader):
    rings = Rings()
    loader.collect(loader.Stream(rings), done_after(3))
    waits = len(rings.waits)
    assert waits == 3, (
        f"done() said no 3 times, then yes: collect() waited {waits} times, expected 3 "
        f"(and read the rings {rings.reads} times without waiting)"
    )
    for wait in rings.waits:
        assert wait >= 0, "perf_buffer_poll() without a timeout waits for ever if no event comes; pass timeout=POLL_MS"
        assert wait <= loader.POLL_MS, (
            f"collect() waited up to {wait} ms, expected at most POLL_MS, {loader.POLL_MS} ms"
        )


@pytest.mark.step(3)
def test_collect_does_not_wait_where_all_is_done(loader):
    rings = Rings()
    loader.collect(loader.Stream(rings), done_after(0))
    waits = len(rings.waits)
    assert waits == 0, f"done() said yes before the first wait, and collect() waited {waits} times, expected none"
    reads = rings.reads
    assert reads > 0, "collect() did not read what was left in the rings before it returned"


@pytest.mark.step(3)
def test_an_error_ends_the_waiting(loader):
    def fail():
        opened.error = LookupError("from the callback")

    rings = Rings(fail)
    opened = loader.Stream(rings)
    with pytest.raises(LookupError):
        loader.collect(opened, done_after(3))
    waits = len(rings.waits)
    assert waits == 1, f"a callback failed in the first wait; collect() waited {waits} times, expected 1"
    reads = rings.reads
    assert reads > 0, "collect() did not read what was left in the rings before it raised the error"


@pytest.mark.step(3)
def test_a_loss_is_no_end(loader):
    def lose():
        opened.lost += 5

    rings = Rings(lose)
    opened = loader.Stream(rings, lost=7)
    loader.collect(opened, done_after(3))
    waits = len(rings.waits)
    assert waits == 3, (
        f"done() said no 3 times, events were lost in each wait: collect() waited {waits} times, expected 3"
    )
    lost = opened.lost
    assert lost == 22, f"7 events were lost before, 5 in each of 3 waits: stream.lost is {lost}, expected 22"


@pytest.mark.step(3)
def test_collect_goes_on_while_the_workload_runs(loader, stream, chain):
    one, opened = chain(EXECS), stream()
    left = iter(one.names)

    def done():
        if next(left, None) is None:
            return True
        one.step()
        return False

    loader.collect(opened, done)
    collected = len([event for event in opened.arrived if event.pid == one.pid])
    assert collected == EXECS, f"{EXECS} execs, one before each wait: collect() collected {collected} events"


@pytest.mark.step(3)
def test_collect_leaves_nothing_in_the_rings(loader, stream, chain):
    one, opened = chain(EXECS), stream()

    def done():
        one.run()
        return True

    loader.collect(opened, done)
    collected = len([event for event in opened.arrived if event.pid == one.pid])
    assert collected == EXECS, f"{EXECS} execs before done() said yes: collect() collected {collected} events"


@pytest.mark.step(3)
@pytest.mark.parametrize("waits", [3, 0])
def test_collect_raises_what_a_callback_raised(loader, bpf, stream, chain, monkeypatch, waits):
    def broken(data):
        raise LookupError("from the callback")

    one, opened = chain(1), stream()
    monkeypatch.setattr(bpf["events"], "event", broken)
    one.run()
    answers = iter([False] * waits + [True] * 9)
    with pytest.raises(LookupError, match="from the callback"):
        loader.collect(opened, lambda: next(answers))


@pytest.mark.step(5)
def test_take_gives_the_order_of_the_execs(loader, stream, chain):
    one, opened = chain(EXECS), stream()
    one.run()
    read(opened)
    taken = [(event.comm, event.cpu) for event in loader.take(opened, time.monotonic_ns()) if event.pid == one.pid]
    assert_same(taken, expected(one), "returned by take()")


def events_at(loader, *times):
    return [loader.Event(time_ns=t, cpu=t % 2, pid=100 - t, uid=0, comm="x") for t in times]


@pytest.mark.step(5)
def test_take_keeps_later_events_for_next_time(loader):
    opened = loader.Stream(None, arrived=events_at(loader, 40, 70, 20, 50, 80))
    first = [event.time_ns for event in loader.take(opened, 50)]
    opened.arrived += events_at(loader, 60)
    second = [event.time_ns for event in loader.take(opened, 1000)]
    assert first == [20, 40], (
        f"events of the times 40, 70, 20, 50, 80 had arrived: take(50) returned {first}, expected 20, 40"
    )
    assert second == [50, 60, 70, 80], f"then one of 60 arrived: take(1000) returned {second}, expected 50, 60, 70, 80"


@pytest.mark.step(5)
def test_take_gives_each_event_once(loader):
    opened = loader.Stream(None, arrived=events_at(loader, 3, 1, 2, 2))
    taken = [len(loader.take(opened, 1000)) for _ in range(2)]
    assert taken[0] == 4, f"4 events had arrived, two of them of the same nanosecond: take() returned {taken[0]}"
    assert taken[1] == 0, f"all events had been taken: a second take() returned {taken[1]}"


@pytest.mark.step(6)
def test_received_and_lost_make_up_what_was_sent(loader, stream, chain):
    """A ring reports its losses with the next event that fits, so one more event goes to each CPU."""
    burst, more, opened = chain(BURST), chain(CPUS), stream(pages=1)
    burst.run()
    loader.collect(opened, lambda: True)
    more.run()
    loader.collect(opened, lambda: True)
    received, lost, sent = len(opened.arrived), opened.lost, BURST + CPUS
    assert received < sent, f"{sent} events were sent to rings of one page, and all were received: none can be lost"
    assert received + lost == sent, f"{received} received, {lost} lost, {sent} were sent"


@pytest.mark.step(6)
def test_where_all_fits_nothing_is_lost(loader, stream, chain):
    one, opened = chain(EXECS), stream()
    one.run()
    loader.collect(opened, lambda: True)
    arrived, lost = len(opened.arrived), opened.lost
    assert arrived == EXECS, f"{EXECS} events were sent, {arrived} are in stream.arrived"
    assert lost == 0, f"{EXECS} events were sent and received, stream.lost is {lost}, expected 0"


@pytest.mark.step(7)
def test_the_kernel_sends_nothing_of_others(loader, chain):
    one, other = chain(EXECS), chain(EXECS)
    bpf = loader.load(one.pid)
    sent = open_raw(bpf)
    for _ in range(EXECS):
        other.step()
        one.step()
    pids = [event.pid for event in sent()]
    own, others = pids.count(one.pid), len(pids) - pids.count(one.pid)
    close_rings(bpf)
    bpf.cleanup()
    assert own == EXECS, f"{EXECS} execs of the process that load(pid) was given: the rings hold {own} of its events"
    assert others == 0, f"load(pid) was given one process: the rings hold {others} events of others, expected none"
