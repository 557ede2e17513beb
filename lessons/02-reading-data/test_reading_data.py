"""Lesson 02: what the two programs on openat bring back."""

import ctypes
import errno
import os
import struct
import threading
import time

import pytest

CALLS = 23
NAME_MAX = 63
"""Bytes of a file name that fit into 64 with its final zero."""
LIBC = ctypes.CDLL(None)
AT_FDCWD = -100
FIELDS = ("pid", "tid", "uid", "comm", "filename", "timestamp", "ret")


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def entry(bpf):
    """syscall_kprobe alone on openat: each event stays in inflight, since no program runs at the return."""
    bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"openat"), fn_name=b"syscall_kprobe")
    yield bpf
    take_off(bpf)


@pytest.fixture
def attached(loader, bpf):
    """Both programs on openat, as the loader attaches them."""
    loader.attach(bpf)
    yield bpf
    take_off(bpf)


def take_off(bpf):
    """Detach whatever was attached, forget whatever was seen."""
    for event in list(bpf.kprobe_fds):
        bpf.detach_kprobe_event(event)
    bpf["done"].values()
    bpf["inflight"].clear()


def tried(name, flags=os.O_RDONLY):
    """Open a file and return what the kernel returned: a file descriptor, or an error as a negative number."""
    try:
        return os.open(name, flags)
    except OSError as error:
        return -error.errno


def in_a_thread(function, *arguments):
    """Call `function` in a new thread; the thread's id."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()
    return thread.native_id


def raw_entry(bpf, tid):
    """What inflight holds for a thread, as C laid it out."""
    table = bpf["inflight"]
    if table.Key(tid) not in table:
        pytest.fail(f"inflight holds no event under the id of the thread {tid}, which called openat")
    return table[table.Key(tid)]


def decoded(loader, raw):
    """decode(raw), for raw bytes of the right length."""
    try:
        event = loader.decode(raw)
    except struct.error as error:
        words = f"decode(raw): {error}; raw has {len(raw)} bytes, as many as C's struct"
        raise AssertionError(words).with_traceback(error.__traceback__) from None
    assert isinstance(event, loader.SyscallEvent), f"decode(raw) returned {event!r}, expected a SyscallEvent"
    return event


def events_of(loader, bpf, pid):
    """The calls of one process that have returned."""
    return [event for event in loader.returned(bpf) if event.pid == pid]


def results_of(loader, bpf, pid):
    """File name and result of each of those calls."""
    return [(event.filename, event.ret) for event in events_of(loader, bpf, pid)]


def random_name(rng, length):
    """A file name of any bytes but zero; no such file exists."""
    return bytes(rng.choices(range(1, 256), k=length))


def assert_same_calls(seen, made, fields):
    """`seen`, the events in done, are `made`, the calls of the process; both are tuples of `fields`."""
    count, calls = len(seen), len(made)
    assert count == calls, f"{calls} calls of openat have returned, done holds {count} events of that process"
    wrong = [(event, call) for event, call in zip(seen, made, strict=True) if event != call]
    differ = len(wrong)
    first = f"; the first: the event has {wrong[0][0]}, the call was {wrong[0][1]}" if wrong else ""
    assert differ == 0, f"{differ} of {count} events differ from their calls in {fields}{first}"


@pytest.mark.step(1)
def test_the_twin_reads_what_c_has_written(loader, bpf, rng):
    written = {
        "pid": rng.randrange(1, 1 << 22),
        "tid": rng.randrange(1, 1 << 22),
        "uid": rng.randrange(1 << 31, 1 << 32),
        "comm": b"my\xff shell",
        "filename": " /srv/naïve/☃\n".encode(),
        "timestamp": rng.randrange(1 << 32, 1 << 63),
        "ret": rng.randrange(3, 1000),
    }
    event = decoded(loader, bytes(bpf["done"].Leaf(**written)))
    for field, value in written.items():
        read = getattr(event, field)
        kind = type(value).__name__
        assert type(read) is type(value), f"decode(raw).{field} is {read!r}, a {type(read).__name__}; expected {kind}"
        assert read == value, f"decode(raw).{field} is {read!r}, C wrote {value!r}"


@pytest.mark.step(1)
def test_an_error_is_a_negative_number(loader, bpf):
    value = bpf["done"].Leaf(ret=-errno.ENOENT)
    ret = decoded(loader, bytes(value)).ret
    assert ret == -2, f"decode(raw).ret is {ret}, C wrote -2"


@pytest.mark.step(1)
def test_texts_end_before_their_first_zero(loader, bpf):
    raw = bytearray(bytes(bpf["done"].Leaf(comm=b"cat of before", filename=b"new/of/before")))
    for field in (bpf["done"].Leaf.comm, bpf["done"].Leaf.filename):
        raw[field.offset + 3] = 0
    event = decoded(loader, bytes(raw))
    for field, expected in (("comm", b"cat"), ("filename", b"new")):
        read = getattr(event, field)
        assert read == expected, f"decode(raw).{field} is {read!r}, expected {expected!r}: a zero byte follows it"


@pytest.mark.step(1)
def test_texts_may_fill_their_field(loader, bpf):
    value = bpf["done"].Leaf(comm=b"c" * 16, filename=b"f" * 64)
    event = decoded(loader, bytes(value))
    for field, size in (("comm", 16), ("filename", 64)):
        length = len(getattr(event, field))
        assert length == size, (
            f"the field {field} is full, {size} bytes without a zero; decode(raw) gave {length} bytes"
        )


@pytest.mark.step(2)
def test_the_event_says_who_called(loader, entry, workload, rng):
    uid, gid = rng.sample(range(1 << 20, 1 << 30), 2)

    def as_somebody():
        os.setgid(gid)
        os.setuid(uid)
        return in_a_thread(tried, "nothing")

    child = workload(as_somebody)
    pid = child.pid
    tid = child.run()
    event = decoded(loader, bytes(raw_entry(entry, tid)))
    caller = {"pid": pid, "tid": tid, "uid": uid, "gid": gid}
    for field in ("pid", "tid", "uid"):
        value = getattr(event, field)
        is_another = next((f": that is its {name}" for name, number in caller.items() if number == value), "")
        assert value == caller[field], f"the event's {field} is {value}, the caller's is {caller[field]}{is_another}"


@pytest.mark.step(2)
def test_the_event_names_the_command(loader, entry, workload, rng):
    name = bytes(rng.choices(b"abcdefgh", k=15))

    def renamed():
        with open("/proc/self/comm", "wb") as comm:
            comm.write(name)
        tried("nothing")

    child = workload(renamed)
    pid = child.pid
    child.run()
    comm = decoded(loader, bytes(raw_entry(entry, pid))).comm
    assert comm == name, f"the event's comm is {comm!r}, the caller's name is {name!r}"


@pytest.mark.step(2)
def test_the_event_says_when_the_call_was_made(loader, entry, workload):
    def timed():
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        tried("nothing")
        return before, time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    child = workload(timed)
    pid = child.pid
    before, after = child.run()
    at = decoded(loader, bytes(raw_entry(entry, pid))).timestamp
    assert before <= at <= after, f"the call was made between {before} and {after} ns, the event says {at}"


def seen_names(loader, bpf, workload, names):
    """Each name opened by a separate thread; the file names in the events, in the same order."""
    child = workload(lambda: [in_a_thread(tried, name) for name in names])
    return [decoded(loader, bytes(raw_entry(bpf, tid))).filename for tid in child.run()]


@pytest.mark.step(3)
def test_the_file_name_arrives_byte_for_byte(loader, entry, workload, rng):
    names = [b"/etc/nothing", "/srv/naïve/☃".encode(), *(random_name(rng, 11 + n) for n in range(CALLS - 2))]
    seen = seen_names(loader, entry, workload, names)
    wrong = [(event, name) for event, name in zip(seen, names, strict=True) if event != name]
    differ = len(wrong)
    first = f"; the first: {wrong[0][1]!r} was opened, the event's filename is {wrong[0][0]!r}" if wrong else ""
    empty = "" if any(seen) else "; all are empty: see docs/02-reading-data.md, What goes wrong"
    assert differ == 0, f"{differ} of {CALLS} file names differ{first}{empty}"


@pytest.mark.step(3)
@pytest.mark.parametrize("length", [NAME_MAX - 1, NAME_MAX, NAME_MAX + 1, 200])
def test_a_name_too_long_is_cut_and_still_ends(loader, entry, workload, rng, length):
    name = random_name(rng, length)
    [seen] = seen_names(loader, entry, workload, [name])
    kept, expected = len(seen), min(length, NAME_MAX)
    assert kept == expected, (
        f"a file name of {length} bytes: the event's filename has {kept}, expected {expected}; the last of 64 is zero"
    )
    assert seen == name[:NAME_MAX], f"the event's filename is {seen!r}, expected the first {expected} bytes of {name!r}"


def kernel_text():
    """The address of a string in the kernel's own memory."""
    with open("/proc/kallsyms") as symbols:
        return next(int(line.split()[0], 16) for line in symbols if line.split()[2] == "linux_banner")


@pytest.mark.step(3)
@pytest.mark.parametrize("where", ["nowhere", "kernel"])
def test_a_name_that_the_process_may_not_read_is_empty(loader, entry, workload, where):
    address = ctypes.c_void_p(kernel_text() if where == "kernel" else 0)
    child = workload(lambda: in_a_thread(LIBC.openat, AT_FDCWD, address, os.O_RDONLY))
    tid = child.run()
    name = decoded(loader, bytes(raw_entry(entry, tid))).filename
    found = len(name)
    assert found == 0, (
        f"the process may not read the address that it passed; the event's filename is {name!r}, not empty"
    )


@pytest.mark.step(3)
def test_nothing_else_of_the_kernel_comes_along(entry, workload, rng):
    names = [random_name(rng, 2 + n) for n in range(CALLS)]
    child = workload(lambda: [in_a_thread(tried, name) for name in names])
    leaked = 0
    for tid in child.run():
        value = raw_entry(entry, tid)
        clean = type(value)(**{name: getattr(value, name) for name in FIELDS})
        leaked += bytes(value) != bytes(clean)
    assert leaked == 0, (
        f"{leaked} of {CALLS} events carry bytes that belong to no field: between two fields, or after a string's zero"
    )


@pytest.mark.step(5)
def test_each_call_comes_back_with_its_result(loader, attached, workload, tmp_path, rng):
    names = [bytes(rng.choices(b"abcdefgh", k=13)) for _ in range(CALLS)]
    kinds = rng.choices(["file", "missing", "folder"], k=CALLS)

    def open_all():
        os.chdir(tmp_path)
        for name, kind in zip(names, kinds, strict=True):
            if kind == "folder":
                os.mkdir(name)
            if kind == "file":
                os.mknod(name)
        return [tried(name, os.O_WRONLY) for name in names]

    child = workload(open_all)
    pid = child.pid
    made = list(zip(names, child.run(), strict=True))
    assert_same_calls(results_of(loader, attached, pid), made, "name and result")


@pytest.mark.step(5)
def test_a_file_that_is_not_there_gives_minus_two(loader, attached, workload):
    child = workload(lambda: tried("nothing"))
    pid = child.pid
    child.run()
    results = [event.ret for event in events_of(loader, attached, pid)]
    found = len(results)
    assert found == 1, f"1 call of openat has returned, done holds {found} events of that process"
    assert results[0] == -2, f"openat found no file (ENOENT, error 2); the event's ret is {results[0]}, expected -2"


@pytest.mark.step(5)
def test_the_beginning_is_still_in_the_event(loader, attached, workload):
    def timed():
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        tid = in_a_thread(tried, "nothing")
        return tid, before, time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    child = workload(timed)
    pid, comm = child.pid, child.comm.encode()
    tid, before, after = child.run()
    events = events_of(loader, attached, pid)
    found = len(events)
    assert found == 1, f"1 call of openat has returned, done holds {found} events of that process"
    for field, expected in (("pid", pid), ("tid", tid), ("uid", os.getuid()), ("comm", comm)):
        value = getattr(events[0], field)
        assert value == expected, f"the event in done has the {field} {value!r}, expected {expected!r} as at the entry"
    at = events[0].timestamp
    assert before <= at <= after, f"the call was made between {before} and {after} ns, the event in done says {at}"


@pytest.mark.step(5)
def test_the_time_is_that_of_the_beginning(loader, attached, workload, eventually, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = workload(lambda: tried(fifo))  # waits inside openat for a writer
    pid = child.pid
    child.start()
    eventually(
        lambda: [e for e in loader.inside(attached) if e.pid == pid], "the call to be inside openat, in inflight"
    )
    between = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    os.close(os.open(fifo, os.O_WRONLY))
    child.wait()
    stamps = [event.timestamp for event in events_of(loader, attached, pid)]
    found = len(stamps)
    assert found == 1, f"1 call of openat has returned, done holds {found} events of that process"
    late = stamps[0] - between
    assert late <= 0, f"the event's timestamp is {late} ns after a moment at which the call was still inside openat"


def assert_nothing_stays_inside(loader, bpf, workload, when=""):
    """No call of a process that makes CALLS of them and exits."""
    child = workload(lambda: [tried("nothing") for _ in range(CALLS)])
    pid = child.pid
    child.run()
    left = len([event for event in loader.inside(bpf) if event.pid == pid])
    assert left == 0, f"{CALLS} calls of openat have returned{when}, and inflight still holds an event of that process"


@pytest.mark.step(5)
def test_a_call_that_has_returned_is_inside_no_more(loader, attached, workload):
    assert_nothing_stays_inside(loader, attached, workload)


@pytest.mark.step(5)
def test_a_call_that_finds_the_queue_full_is_inside_no_more(loader, attached, workload):
    done = attached["done"]

    def fill():
        while True:
            done.push(done.Leaf())

    with pytest.raises(Exception, match="Could not push"):
        fill()
    assert_nothing_stays_inside(loader, attached, workload, " while the queue was full, so that push() failed")


@pytest.mark.step(5)
def test_a_call_that_was_not_seen_to_begin_is_left_out(loader, bpf, workload):
    bpf.attach_kretprobe(event=bpf.get_syscall_fnname(b"openat"), fn_name=b"syscall_kretprobe")
    try:
        workload(lambda: [tried("nothing") for _ in range(CALLS)]).run()
        seen, inside = len(list(loader.returned(bpf))), len(list(loader.inside(bpf)))
    finally:
        take_off(bpf)
    unseen = "calls of openat were not seen to begin (only syscall_kretprobe was attached)"
    assert seen == 0, f"{unseen}; done holds {seen} events, expected none"
    assert inside == 0, f"{unseen}; inflight holds {inside} events, expected none"


@pytest.mark.step(5)
def test_calls_inside_at_the_same_time_do_not_mix(loader, attached, workload, tmp_path):
    def meet_often():
        os.chdir(tmp_path)
        return [call for number in range(CALLS) for call in meet(f"reader-{number}", f"writer-{number}")]

    child = workload(meet_often)
    pid = child.pid
    made = [(tid, name.encode(), ret) for tid, name, ret in child.run()]
    seen = [(event.tid, event.filename, event.ret) for event in events_of(loader, attached, pid)]
    assert_same_calls(sorted(seen), sorted(made), "thread, name and result")


def meet(reads, writes):
    """Two threads inside openat at once: [thread id, name, result] of each call.

    Both names are one FIFO. The reader waits inside openat for a writer; a writer that does not wait gets ENXIO until
    the reader is inside, so the one that succeeds has begun before the reader's call could end.
    """
    os.mkfifo(reads)
    os.link(reads, writes)
    calls = []

    def call(name, flags):
        calls.append([threading.get_native_id(), name, tried(name, flags)])
        return calls[-1][2]

    reader = threading.Thread(target=call, args=(reads, os.O_RDONLY))
    reader.start()
    while call(writes, os.O_WRONLY | os.O_NONBLOCK) < 0:
        time.sleep(0.001)
    reader.join()
    return calls
