"""Lesson 09: what a ring for all CPUs does, when it is full, and whom it wakes."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from bcc import lib

OPENS = 23
RECORD = 1024  # struct file_access has 1016 bytes, and the ring puts 8 before each
ONLINE = sorted(os.sched_getaffinity(0))
READ, WRITE = os.O_RDONLY, os.O_WRONLY


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def room(loader):
    """How many events fit into the ring: it is full one byte before its end."""
    return (loader.PAGES * os.sysconf("SC_PAGE_SIZE") - 1) // RECORD


def close_ring(bpf):
    """Free the ring's reader, as cleanup() does, so that the next test can open its own."""
    if bpf._ringbuf_manager:
        lib.bpf_free_ringbuf(bpf._ringbuf_manager)
        bpf._ringbuf_manager = None


@pytest.fixture
def raw(loader, bpf):
    """A function that reads all events as the kernel program made them, without the loader; the ring is empty."""
    found = []

    def copy(ctx, data, size):
        event = bpf["accesses"].event(data)
        found.append(SimpleNamespace(size=size, **{name: getattr(event, name) for name, _ in event._fields_}))

    def read():
        bpf.ring_buffer_consume()
        return list(found)

    bpf["accesses"].open_ring_buffer(copy)
    read()
    found.clear()
    yield read
    close_ring(bpf)


@pytest.fixture
def opened(loader, bpf):
    """`opened()`: the loader's Log, its ring open and empty."""

    def start():
        log = loader.Log(bpf)
        loader.open_ring(log)
        assert bpf._ringbuf_manager, 'open_ring() opened no ring: bpf["accesses"].open_ring_buffer(callback) opens it'
        bpf.ring_buffer_consume()
        log.accesses.clear()
        log.error = None
        return log

    yield start
    close_ring(bpf)


def read(log):
    """What is in log.accesses once the ring is empty."""
    log.bpf.ring_buffer_consume()
    if log.error is not None:
        words = f"the callback raised {type(log.error).__name__}: {log.error}"
        raise AssertionError(words).with_traceback(log.error.__traceback__) from None
    return log.accesses


@pytest.fixture
def process(loader, bpf, workload, rng):
    """`process(opens)`: a process, waiting, that will try to open these (path, flags). Only its events are sent.

    It moves to another CPU after each five of them where `cpus` are given, and is called `comm` where that is given.
    `within` may run it in another way.
    """

    def start(opens, folder="", cpus=(), comm="", within=lambda work: work()):
        uid = rng.randrange(20_000, 60_000)
        loader.want(bpf, uid, folder)

        def work():
            for n, (path, flags) in enumerate(opens):
                if cpus:
                    os.sched_setaffinity(0, {cpus[n // 5 % len(cpus)]})
                with suppress(OSError):
                    os.close(os.open(path, flags, 0o600))

        def as_user():
            if comm:
                Path("/proc/self/comm").write_text(comm)
            os.setuid(uid)
            within(work)

        return workload(as_user)

    return start


@pytest.fixture
def folder(rng):
    """The name of a folder that does not exist: an open there fails, and is an open all the same."""
    return "/nowhere-" + "".join(rng.choices("abcdefgh", k=12))


def reads(folder, number):
    return [(f"{folder}/{n}", READ) for n in range(number)]


class Sleeper:
    """A thread that reads the ring once: it sleeps in ring_buffer_poll() until the kernel wakes it."""

    def __init__(self, bpf):
        self._thread = threading.Thread(target=bpf.ring_buffer_poll, kwargs={"timeout": -1}, daemon=True)
        self._thread.start()
        # Opened once: while it is looked at, this process opens nothing.
        self._where = os.open(f"/proc/self/task/{self._thread.native_id}/wchan", os.O_RDONLY)

    def sleeps(self):
        """Whether it is asleep in the kernel's epoll; a thread that was woken is not, from that moment on."""
        with suppress(ProcessLookupError):
            return "poll" in os.pread(self._where, 64, 0).decode()
        return False

    def has_read(self):
        return not self._thread.is_alive()

    def interrupt(self):
        """Let it return from its sleep without an event."""
        if self._thread.is_alive():
            signal.pthread_kill(self._thread.ident, signal.SIGUSR1)
        return self.has_read()

    def close(self):
        os.close(self._where)


@pytest.fixture
def sleeper(bpf, raw, eventually):
    """`sleeper()`: a reader that is asleep; a thread, so what is forked has to be forked before it."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    started = []

    def start():
        started.append(Sleeper(bpf))
        eventually(started[-1].sleeps, "the reader to sleep in ring_buffer_poll()")
        return started[-1]

    yield start
    for one in started:
        eventually(one.interrupt, "the reader to return")
        one.close()
    signal.signal(signal.SIGUSR1, before)


def assert_sleeps(reader, why):
    """The reader has not been woken. What wakes it does so before the open returns, and so before the process exits."""
    if not reader.sleeps():
        pytest.fail(f"{why}: the reader, asleep in ring_buffer_poll(), was woken")


def of(events, process):
    """The events of one process."""
    return [event for event in events if event.pid == process.pid]


def paths(events):
    return [os.fsencode(event.path) for event in events]


def assert_same(seen, due, what):
    """`seen` are the paths that are due, in the same order."""
    due = [os.fsencode(path) for path in due]
    count, opens = len(seen), len(due)
    assert count == opens, f"{opens} files were opened, {count} of them are {what}"
    wrong = [n for n in range(count) if seen[n] != due[n]]
    where = f"; the first is number {wrong[0] + 1}: {seen[wrong[0]]!r}, expected {due[wrong[0]]!r}" if wrong else ""
    found = len(wrong)
    assert found == 0, f"{found} of {count} paths {what} are not the ones due at their place{where}"


@pytest.mark.step(1)
def test_each_open_sends_one_event(raw, process, folder):
    one = process(reads(folder, OPENS))
    one.run()
    events = raw()
    sent = len(of(events, one))
    others = f"; it holds {len(events)} events of other process ids" if events and not sent else ""
    assert sent == OPENS, f"a process opened {OPENS} files: the ring holds {sent} of its events{others}"


@pytest.mark.step(1)
def test_the_event_holds_the_path(raw, process, folder, rng):
    long = f"{folder}/" + "".join(rng.choices("abcdefgh", k=1200))
    due = [f"{folder}/plain", f"{folder}/{'x' * 200}", f"{folder}/ä ", b"/nowhere\xff\xfe", "relative/name", long]
    one = process([(path, READ) for path in due])
    one.run()
    seen = paths(of(raw(), one))
    due[-1] = long[:979]  # and a final zero: path has 980 bytes
    assert_same(seen, due, "in the events")


@pytest.mark.step(1)
def test_the_event_names_the_process_that_opens(raw, process, folder, rng):
    name = "".join(rng.choices("abcdefgh", k=15))

    def twice(work):
        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    one = process([(f"{folder}/0", READ)], comm=name, within=twice)
    one.run()
    events = [event for event in raw() if os.fsencode(event.path) == os.fsencode(f"{folder}/0")]
    found = len(events)
    assert found == 2, (
        f"a process opened a file, and so did its second thread: the ring holds {found} events, expected 2"
    )
    for event, who in zip(events, ("process", "process's second thread"), strict=True):
        assert event.pid == one.pid, (
            f"a {who} opened a file: the process id is {one.pid}, the event's pid is {event.pid}"
        )
    comm = events[0].comm.decode()
    assert comm == name, f"the process is called {name!r}, the event's comm is {comm!r}"


@pytest.mark.step(1)
def test_the_event_holds_time_and_cpu(raw, process, folder):
    for cpu in ONLINE:
        one = process([(f"{folder}/0", READ)], cpus=[cpu])
        before_ns = time.monotonic_ns()
        one.run()
        after_ns = time.monotonic_ns()
        events = of(raw(), one)
        found = len(events)
        assert found == 1, f"a process opened 1 file: the ring holds {found} of its events"
        [event] = events
        assert event.cpu == cpu, f"the file was opened on CPU {cpu}, the event's cpu is {event.cpu}"
        assert before_ns <= event.time_ns <= after_ns, (
            f"an open between {before_ns} and {after_ns} ns on the monotonic clock: "
            f"the event's time_ns is {event.time_ns}"
        )


@pytest.mark.step(1)
def test_the_event_tells_a_write_from_a_read(raw, process, folder):
    kinds = {"O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 1, "O_CREAT": 1, "O_DIRECTORY": 0, "O_PATH": 0}
    one = process([(f"{folder}/{name}", getattr(os, name)) for name in kinds])
    one.run()
    seen = {event.path.decode().rpartition("/")[2]: event.writes for event in of(raw(), one)}
    for name, due in kinds.items():
        assert name in seen, f"a file was opened with {name}: the ring does not hold its event"
        assert seen[name] == due, f"a file was opened with {name}: the event's writes is {seen[name]}, expected {due}"


@pytest.mark.step(1)
def test_no_event_shows_what_lay_there_before(raw, process, folder, room):
    """The ring comes round to the same room, in which events of writes lie."""
    for _ in range(2):
        process([(f"{folder}/{'x' * 200}", WRITE)] * (room * 2 // 3)).run()
        raw()
    one = process(reads(folder, OPENS))
    one.run()
    events = of(raw(), one)
    sent = len(events)
    assert sent == OPENS, f"a process opened {OPENS} files: the ring holds {sent} of its events"
    old = sum(event.writes != 0 for event in events)
    assert old == 0, (
        f"{OPENS} files were opened for reading, in {old} of their events writes is not 0: "
        "room in the ring is not zeroed, and events of writes lay there before"
    )


@pytest.mark.step(1)
def test_events_of_all_cpus_come_in_order(raw, process, folder):
    due = reads(folder, 211)
    one = process(due, cpus=ONLINE)
    one.run()
    events = of(raw(), one)
    assert_same(paths(events), [path for path, _ in due], "in the ring")
    seen = {event.cpu for event in events}
    assert seen == set(ONLINE), f"the files were opened on the CPUs {ONLINE}, the events name {sorted(seen)}"


@pytest.mark.step(2)
def test_accesses_arrive_in_order(loader, opened, process, folder):
    due, log = reads(folder, 211), opened()
    one = process(due, cpus=ONLINE)
    one.run()
    for access in read(log):
        kind = type(access).__name__
        assert isinstance(access, loader.Access), f"log.accesses holds a {kind}, expected what access_of() returns"
    assert_same(paths(of(log.accesses, one)), [path for path, _ in due], "in log.accesses")


@pytest.mark.step(2)
def test_accesses_stay_as_they_were(opened, process, folder, room):
    """The next events go into the same memory."""
    log = opened()
    process([(f"{folder}/old", WRITE)] * OPENS).run()
    kept = list(read(log))
    found = len(kept)
    assert found == OPENS, f"a process opened {OPENS} files, {found} accesses are in log.accesses"
    before = paths(kept)
    for _ in range(2):
        process(reads(folder, room * 2 // 3)).run()
        read(log)
    changed = sum(now != then for now, then in zip(paths(kept), before, strict=True))
    assert changed == 0, f"{changed} of {OPENS} accesses in log.accesses changed when the ring was used again"


@pytest.fixture
def failing(loader, monkeypatch):
    """`failing(*numbers)`: access_of raises at the events of these numbers, each time another LookupError."""
    met = []

    def fail_at(*numbers):
        def broken(event):
            met.append(event)
            if len(met) in numbers:
                raise LookupError(f"event {len(met)}")
            return len(met)

        monkeypatch.setattr(loader, "access_of", broken)

    return fail_at


@pytest.mark.step(2)
def test_the_first_error_is_kept(opened, process, folder, failing):
    log = opened()
    failing(2, 3)
    process(reads(folder, OPENS)).run()
    log.bpf.ring_buffer_consume()
    kept = log.error
    assert isinstance(kept, LookupError), f"access_of() raised LookupError in the callback: log.error is {kept!r}"
    assert str(kept) == "event 2", f"access_of() raised at events 2 and 3: log.error is that of {kept}"


@pytest.mark.step(2)
def test_an_error_does_not_hold_the_others_up(opened, process, folder, failing):
    log = opened()
    failing(2)
    process(reads(folder, OPENS)).run()
    log.bpf.ring_buffer_consume()
    arrived = len(log.accesses)
    assert arrived == OPENS - 1, (
        f"{OPENS} events were in the ring, access_of() raised at one of them: after one round of reading "
        f"{arrived} are in log.accesses, expected {OPENS - 1}"
    )


@pytest.mark.step(2)
def test_collect_raises_what_the_callback_met(loader, opened, process, folder, failing):
    log = opened()
    failing(1)
    process(reads(folder, 1)).run()
    with pytest.raises(LookupError, match="event 1"):
        loader.collect(log, lambda: True)


def balance(loader, bpf, raw, one):
    """Let a process run; how many of its events were received, and how many more were dropped."""
    before = loader.dropped(bpf)
    one.run()
    return len(of(raw(), one)), loader.dropped(bpf) - before


@pytest.mark.step(4)
def test_received_and_dropped_make_up_what_was_sent(loader, bpf, raw, process, folder):
    sent = 1009
    received, lost = balance(loader, bpf, raw, process(reads(folder, sent), cpus=ONLINE))
    assert received < sent, f"{sent} events were sent to a ring that is not read, and all were received"
    assert received + lost == sent, f"{sent} events were sent, {received} received, {lost} counted as dropped"


@pytest.mark.step(4)
def test_what_finds_room_is_not_counted(loader, bpf, raw, process, folder):
    received, lost = balance(loader, bpf, raw, process(reads(folder, OPENS)))
    assert received == OPENS, f"{OPENS} events were sent, {received} received"
    assert lost == 0, f"{OPENS} events were sent and received, {lost} counted as dropped"


@pytest.mark.step(4)
def test_a_loss_is_counted_once(loader, bpf, raw, process, folder, room):
    sent = room + OPENS
    _, lost = balance(loader, bpf, raw, process(reads(folder, sent)))
    assert lost == OPENS, f"{sent} events were sent, {room} fit into the ring: {lost} counted as dropped, not {OPENS}"
    _, lost = balance(loader, bpf, raw, process(reads(folder, 1)))
    assert lost == 0, f"the ring was read, and one event more was sent: {lost} more counted as dropped, expected none"


@pytest.mark.step(5)
def test_a_write_wakes_the_reader(process, folder, raw, sleeper, eventually):
    one, reader = process([(f"{folder}/0", WRITE)]), sleeper()
    one.run()
    eventually(reader.has_read, "the reader to be woken by an open for writing")
    assert_same(paths(of(raw(), one)), [f"{folder}/0"], "in the ring")


@pytest.mark.step(5)
def test_reads_let_the_reader_sleep(process, folder, sleeper):
    one, reader = process(reads(folder, OPENS)), sleeper()
    one.run()
    assert_sleeps(reader, f"{OPENS} files were opened for reading, which can wait")


@pytest.mark.step(5)
def test_a_write_wakes_the_reader_though_events_wait(process, folder, raw, sleeper, eventually):
    opens = [*reads(folder, OPENS), (f"{folder}/new", WRITE)]
    one, reader = process(opens), sleeper()
    one.run()
    eventually(reader.has_read, f"the reader to be woken by an open for writing, after {OPENS} for reading")
    assert_same(paths(of(raw(), one)), [path for path, _ in opens], "in the ring")


@pytest.mark.step(6)
def test_only_what_is_below_the_folder_is_sent(process, folder, raw):
    below = [(f"{folder}/{n}", READ) for n in range(OPENS)]
    elsewhere = [
        ("/elsewhere", READ),
        (f"{folder}x/1", READ),
        (folder[:-1], READ),
        (f"/x{folder}/1", WRITE),
        ("", READ),
    ]
    mixed = [one for n, wanted in enumerate(below) for one in (elsewhere[n % len(elsewhere)], wanted)]
    one = process(mixed, folder=folder)
    one.run()
    events = of(raw(), one)
    other = [path for path in paths(events) if not path.startswith(os.fsencode(f"{folder}/"))]
    found = len(other)
    assert found == 0, (
        f"only what is below {folder} is wanted: {found} events are of other files, the first {other[:1]}"
    )
    assert_same(paths(events), [path for path, _ in below], "in the ring")


@pytest.mark.step(6)
def test_an_open_elsewhere_lets_the_reader_sleep(process, folder, sleeper):
    one = process([(f"{folder}x/{n}", WRITE) for n in range(OPENS)], folder=folder)
    reader = sleeper()
    one.run()
    assert_sleeps(reader, f"{OPENS} files elsewhere were opened for writing, which is not wanted")


@pytest.mark.step(6)
def test_a_write_below_the_folder_still_wakes_the_reader(process, folder, raw, sleeper, eventually):
    one = process([("/elsewhere", WRITE), (f"{folder}/0", WRITE)], folder=folder)
    reader = sleeper()
    one.run()
    eventually(reader.has_read, "the reader to be woken by an open for writing below the folder")
    assert_same(paths(of(raw(), one)), [f"{folder}/0"], "in the ring")


@pytest.mark.step(7)
def test_a_ring_that_fills_wakes_the_reader(process, folder, room, sleeper, eventually):
    many = room * 2 // 3
    one, reader = process(reads(folder, many)), sleeper()
    one.run()
    eventually(
        reader.has_read, f"the reader to be woken by {many} events that can wait, in a ring with room for {room}"
    )


@pytest.mark.step(7)
def test_discarded_events_fill_the_ring_too(process, folder, room, sleeper, eventually):
    """What is discarded keeps its room until the reader has passed it."""
    many = room * 2 // 3
    one, reader = process(reads(f"{folder}x", many), folder=folder), sleeper()
    one.run()
    eventually(reader.has_read, f"the reader to be woken by {many} discarded events, in a ring with room for {room}")


@pytest.mark.step(7)
def test_a_ring_that_is_half_empty_lets_the_reader_sleep(process, folder, room, raw, sleeper):
    """However much went through it before."""
    for _ in range(2):
        process(reads(folder, room * 2 // 3)).run()
        raw()
    few = room // 3
    one, reader = process(reads(folder, few)), sleeper()
    one.run()
    assert_sleeps(reader, f"{few} files were opened for reading, the ring has room for {room}")
