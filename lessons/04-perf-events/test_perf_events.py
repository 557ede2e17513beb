"""Lesson 04: what a stream of events out of the kernel has to do."""

import os
import subprocess
import time
from types import SimpleNamespace

import pytest

EXECS = 23
BURST = 211  # more than two rings of one page hold: an event takes 48 bytes there, so 2 * 85 fit
RING = 4096 // 48
DEADLINE_S = 60
CPUS = len(os.sched_getaffinity(0))


class Chain:
    """A process that waits, then becomes one program after the other, hopping from CPU to CPU (hop.c)."""

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
        """All execs that are left; returns when the process has ended."""
        self._process.communicate(timeout=DEADLINE_S)
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
    """Give the rings back, so that the next test opens its own."""
    for cpu in range(os.cpu_count()):
        del bpf["events"][cpu]


@pytest.fixture
def raw(bpf):
    """`raw()`: open rings, and a function that reads them."""
    yield lambda: open_raw(bpf)
    close_rings(bpf)


def open_raw(bpf):
    """Open rings; the function returned gives all events as the kernel program made them, without the loader."""
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
    if isinstance(stream.error, NotImplementedError):
        raise stream.error
    return stream.arrived


def expected(chain):
    """What a chain's events say: name and CPU, in order."""
    return list(zip([name.decode(errors="replace") for name in chain.names], chain.cpus, strict=True))


@pytest.mark.step(1)
def test_each_exec_submits_one_event(raw, chain):
    one, sent = chain(EXECS), raw()
    one.run()
    events = sent()
    seen, sizes = len([event for event in events if event.pid == one.pid]), sorted({event.size for event in events})
    others = f"; the rings hold {len(events)} events, of {sizes} bytes" if events and not seen else ""
    assert seen == EXECS, f"{EXECS} execs of one process put {seen} of its events into the rings{others}"


@pytest.mark.step(1)
def test_the_event_holds_the_new_program_s_name(raw, chain):
    one, sent = chain(EXECS), raw()
    one.run()
    names = [event.comm for event in sent() if event.pid == one.pid]
    assert names == one.names


@pytest.mark.step(1)
def test_the_event_holds_the_user_s_id(raw, chain, rng):
    uid, gid = rng.sample(range(1000, 60000), 2)

    def become_user():
        os.setresgid(gid, 0, 0)
        os.setresuid(uid, 0, 0)

    one, sent = chain(3, preexec_fn=become_user), raw()
    one.run()
    uids = {event.uid for event in sent() if event.pid == one.pid}
    assert uids == {uid}, f"a process of user {uid}, group {gid}"


@pytest.mark.step(1)
def test_the_event_holds_the_time_of_the_exec(raw, chain):
    one, sent = chain(3), raw()
    moments = [time.monotonic_ns()]
    for _ in one.names:
        one.step()
        moments.append(time.monotonic_ns())
    stamps = [event.time_ns for event in sent() if event.pid == one.pid]
    assert moments == sorted(moments)
    assert len(stamps) == 3
    for before, stamp, after in zip(moments, stamps, moments[1:], strict=False):
        assert before <= stamp <= after, "the time of the exec on the monotonic clock, in nanoseconds"


@pytest.mark.step(2)
def test_events_arrive_from_all_cpus(stream, chain):
    one, opened = chain(EXECS), stream()
    one.run()
    arrived = [(event.comm, event.cpu) for event in read(opened) if event.pid == one.pid]
    assert sorted(arrived) == sorted(expected(one))


@pytest.mark.step(2)
def test_an_event_is_the_loader_s_own(loader, stream, chain):
    one, opened = chain(1), stream()
    before_ns = time.monotonic_ns()
    one.run()
    (event,) = [event for event in read(opened) if event.pid == one.pid]
    assert isinstance(event, loader.Event)
    assert before_ns <= event.time_ns <= time.monotonic_ns()
    assert (event.uid, event.comm) == (os.getuid(), one.names[0].decode())


@pytest.mark.step(2)
def test_no_name_is_too_strange(stream, chain):
    names = [b"\xff\xfe-0", " ä\n".encode(), b"a\xff"]
    one, opened = chain(3, names=names), stream()
    one.run()
    arrived = [event.comm for event in read(opened) if event.pid == one.pid]
    assert len(arrived) == 3, f"3 programs with odd names gave {len(arrived)} events ({opened.error!r})"
    expected = sorted(name.decode(errors="replace") for name in names)
    assert sorted(arrived) == expected, "right: a sign for each byte that is no UTF-8, and all else as it is"


@pytest.mark.step(2)
def test_events_stay_as_they_were(stream, chain):
    """The next events go into the same memory: a ring of one page is written over from end to end."""
    one, opened = chain(EXECS, cpus=1), stream(pages=1)
    one.run()
    events = list(read(opened))
    stamps = [event.time_ns for event in events]
    chain(RING + 1, cpus=1).run()
    later = [event.time_ns for event in events]
    assert len(stamps) == EXECS
    assert later == stamps, "events changed when the ring was used again"


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
    assert collected == EXECS, f"{EXECS} execs, one before each poll: {collected} were collected"


@pytest.mark.step(3)
def test_collect_leaves_nothing_in_the_rings(loader, stream, chain):
    one, opened = chain(EXECS), stream()

    def done():
        one.run()
        return True

    loader.collect(opened, done)
    collected = len([event for event in opened.arrived if event.pid == one.pid])
    assert collected == EXECS, f"{EXECS} execs before done() said yes: {collected} were collected"


@pytest.mark.step(3)
def test_collect_never_waits_for_ever(loader):
    waits = []
    answers = iter([False] * 3 + [True] * 9)
    bpf = SimpleNamespace(
        perf_buffer_poll=lambda timeout=-1: waits.append(timeout),
        perf_buffer_consume=lambda: None,
    )
    loader.collect(loader.Stream(bpf), lambda: next(answers))
    assert waits, "never polled"
    assert all(0 <= wait <= loader.POLL_MS for wait in waits), f"poll(timeout) was called with {waits}; -1 is for ever"


@pytest.mark.step(3)
def test_collect_does_not_wait_where_all_is_done(loader):
    waits = []
    bpf = SimpleNamespace(
        perf_buffer_poll=lambda timeout=-1: waits.append(timeout),
        perf_buffer_consume=lambda: None,
    )
    loader.collect(loader.Stream(bpf), lambda: True)
    assert [wait for wait in waits if wait] == [], "done() was true before the first wait"


@pytest.mark.step(3)
def test_an_error_ends_the_waiting(loader):
    waits = []
    answers = iter([False] * 3 + [True] * 9)

    def poll(timeout=-1):
        waits.append(timeout)
        opened.error = LookupError("from the callback")

    reads = []
    opened = loader.Stream(SimpleNamespace(perf_buffer_poll=poll, perf_buffer_consume=lambda: reads.append(1)))
    with pytest.raises(LookupError):
        loader.collect(opened, lambda: next(answers))
    waited = len([wait for wait in waits if wait])
    assert waited == 1, f"a callback failed in the first wait; {waited} waits were made"
    assert reads, "what was left in the rings was not read before the error was raised"


@pytest.mark.step(3)
def test_a_loss_is_no_end(loader):
    waits = []
    answers = iter([False] * 3 + [True] * 9)

    def poll(timeout=-1):
        waits.append(timeout)
        opened.lost += 5

    opened = loader.Stream(SimpleNamespace(perf_buffer_poll=poll, perf_buffer_consume=lambda: None), lost=7)
    loader.collect(opened, lambda: next(answers))
    told = (len(waits), opened.lost)
    assert told == (3, 22), "waits until done() said yes, and losses: 7 before, 5 in each wait"


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
    assert taken == expected(one), "names and CPUs, as take() gave them and in the order of the execs"


def events_at(loader, *times):
    return [loader.Event(time_ns=t, cpu=t % 2, pid=100 - t, uid=0, comm="x") for t in times]


@pytest.mark.step(5)
def test_take_keeps_later_events_for_next_time(loader):
    opened = loader.Stream(None, arrived=events_at(loader, 40, 70, 20, 50, 80))
    first = [event.time_ns for event in loader.take(opened, 50)]
    opened.arrived += events_at(loader, 60)
    second = [event.time_ns for event in loader.take(opened, 1000)]
    assert (first, second) == ([20, 40], [50, 60, 70, 80]), "times, from take(50) and from take(1000) after it"


@pytest.mark.step(5)
def test_take_gives_each_event_once(loader):
    opened = loader.Stream(None, arrived=events_at(loader, 3, 1, 2, 2))
    taken = [len(loader.take(opened, 1000)) for _ in range(2)]
    assert taken == [4, 0], "events taken at once and again; two CPUs had one at the same nanosecond"


@pytest.mark.step(6)
def test_received_and_lost_make_up_what_was_sent(loader, stream, chain):
    """A ring tells its losses with the next event that finds room, so one more event goes to each CPU."""
    burst, more, opened = chain(BURST), chain(CPUS), stream(pages=1)
    burst.run()
    loader.collect(opened, lambda: True)
    more.run()
    loader.collect(opened, lambda: True)
    received, lost, sent = len(opened.arrived), opened.lost, BURST + CPUS
    assert received < sent
    assert received + lost == sent, f"{received} received, {lost} lost, {sent} were sent"


@pytest.mark.step(6)
def test_where_all_fits_nothing_is_lost(loader, stream, chain):
    one, opened = chain(EXECS), stream()
    one.run()
    loader.collect(opened, lambda: True)
    assert (len(opened.arrived), opened.lost) == (EXECS, 0)


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
    assert (own, others) == (EXECS, 0), f"the rings held {own} events of the process, {others} of others"
