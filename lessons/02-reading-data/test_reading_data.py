"""Lesson 02: what the two programs on openat have to bring back."""

import ctypes
import errno
import os
import threading
import time

import pytest

CALLS = 23
NAME_MAX = 63
"""Bytes of a file name that fit into 64 with the zero that ends it."""
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
    """syscall_kprobe alone on openat: each event stays in inflight, where openat's end would take it away."""
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
    """Open a file and say what the kernel returned: a file descriptor, or an error as a negative number."""
    try:
        return os.open(name, flags)
    except OSError as error:
        return -error.errno


def in_a_thread(function, *arguments):
    """Call `function` in a thread of its own; the thread's id."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()
    return thread.native_id


def raw_entry(bpf, tid):
    """What inflight holds for a thread, as C laid it out."""
    table = bpf["inflight"]
    assert table.Key(tid) in table, f"inflight holds no event for thread {tid}, which called openat"
    return table[table.Key(tid)]


def events_of(loader, bpf, pid):
    """The calls of one process that have returned."""
    return [event for event in loader.returned(bpf) if event.pid == pid]


def random_name(rng, length):
    """A file name of any bytes but zero; nobody has such a file."""
    return bytes(rng.choices(range(1, 256), k=length))


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
    assert loader.decode(bytes(bpf["done"].Leaf(**written))) == loader.SyscallEvent(**written)


@pytest.mark.step(1)
def test_an_error_is_a_negative_number(loader, bpf):
    value = bpf["done"].Leaf(ret=-errno.ENOENT)
    assert loader.decode(bytes(value)).ret == -2


@pytest.mark.step(1)
def test_texts_end_before_their_first_zero(loader, bpf):
    raw = bytearray(bytes(bpf["done"].Leaf(comm=b"cat of before", filename=b"new/of/before")))
    for field in (bpf["done"].Leaf.comm, bpf["done"].Leaf.filename):
        raw[field.offset + 3] = 0
    event = loader.decode(bytes(raw))
    assert (event.comm, event.filename) == (b"cat", b"new")


@pytest.mark.step(1)
def test_texts_may_fill_their_field(loader, bpf):
    value = bpf["done"].Leaf(comm=b"c" * 16, filename=b"f" * 64)
    event = loader.decode(bytes(value))
    assert (len(event.comm), len(event.filename)) == (16, 64)


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
    event = loader.decode(bytes(raw_entry(entry, tid)))
    seen = {"pid": event.pid, "tid": event.tid, "uid": event.uid}
    assert seen == {"pid": pid, "tid": tid, "uid": uid}, f"the caller's gid was {gid}"


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
    assert loader.decode(bytes(raw_entry(entry, pid))).comm == name


@pytest.mark.step(2)
def test_the_event_tells_when_the_call_was_made(loader, entry, workload):
    def timed():
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        tried("nothing")
        return before, time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    child = workload(timed)
    pid = child.pid
    before, after = child.run()
    at = loader.decode(bytes(raw_entry(entry, pid))).timestamp
    assert before <= at <= after, f"the call was made between {before} and {after} ns, the event says {at}"


def seen_names(loader, bpf, workload, names):
    """Each name opened by a thread of its own; what the events say, in the same order."""
    child = workload(lambda: [in_a_thread(tried, name) for name in names])
    return [loader.decode(bytes(raw_entry(bpf, tid))).filename for tid in child.run()]


@pytest.mark.step(3)
def test_the_file_name_arrives_byte_for_byte(loader, entry, workload, rng):
    names = [b"/etc/nothing", "/srv/naïve/☃".encode(), *(random_name(rng, 11 + n) for n in range(CALLS - 2))]
    seen = seen_names(loader, entry, workload, names)
    assert seen == names, "left: the file names in the events; right: the names that were opened"


@pytest.mark.step(3)
@pytest.mark.parametrize("length", [NAME_MAX - 1, NAME_MAX, NAME_MAX + 1, 200])
def test_a_name_too_long_is_cut_and_still_ends(loader, entry, workload, rng, length):
    name = random_name(rng, length)
    [seen] = seen_names(loader, entry, workload, [name])
    assert seen == name[:NAME_MAX], f"of {length} bytes the event has {len(seen)}; the last of 64 must be zero"


def kernel_text():
    """The address of a text in the kernel's own memory."""
    with open("/proc/kallsyms") as symbols:
        return next(int(line.split()[0], 16) for line in symbols if line.split()[2] == "linux_banner")


@pytest.mark.step(3)
@pytest.mark.parametrize("where", ["nowhere", "kernel"])
def test_a_name_that_the_process_may_not_read_is_empty(loader, entry, workload, where):
    address = ctypes.c_void_p(kernel_text() if where == "kernel" else 0)
    child = workload(lambda: in_a_thread(LIBC.openat, AT_FDCWD, address, os.O_RDONLY))
    tid = child.run()
    name = loader.decode(bytes(raw_entry(entry, tid))).filename
    assert name == b"", "openat was called with an address that its process may not read"


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
        f"{leaked} of {CALLS} events carry bytes that no field holds: between two fields, or behind the end of a text"
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
    seen = [(event.filename, event.ret) for event in events_of(loader, attached, pid)]
    assert seen == made, f"left: name and result in the events; right: name and result of the {CALLS} calls, in order"


@pytest.mark.step(5)
def test_a_file_that_is_not_there_gives_minus_two(loader, attached, workload):
    child = workload(lambda: tried("nothing"))
    pid = child.pid
    child.run()
    results = [event.ret for event in events_of(loader, attached, pid)]
    assert results == [-2], "one call that found no file (ENOENT is error 2)"


@pytest.mark.step(5)
def test_the_beginning_is_still_in_the_event(loader, attached, workload):
    def timed():
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        tid = in_a_thread(tried, "nothing")
        return tid, before, time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    child = workload(timed)
    pid, comm = child.pid, child.comm.encode()
    tid, before, after = child.run()
    seen = [(e.pid, e.tid, e.uid, e.comm, before <= e.timestamp <= after) for e in events_of(loader, attached, pid)]
    assert seen == [(pid, tid, os.getuid(), comm, True)], "pid, tid, uid, comm, timestamp within the call"


@pytest.mark.step(5)
def test_the_time_is_that_of_the_beginning(loader, attached, workload, eventually, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = workload(lambda: tried(fifo))  # waits inside openat for somebody who writes
    pid = child.pid
    child.start()
    eventually(lambda: [e for e in loader.inside(attached) if e.pid == pid], "the call is inside openat")
    between = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    os.close(os.open(fifo, os.O_WRONLY))
    child.wait()
    begun = [event.timestamp <= between for event in events_of(loader, attached, pid)]
    assert begun == [True], "the timestamp is from before the call returned"


def assert_nothing_stays_inside(loader, bpf, workload):
    """Not one call of a process that makes CALLS of them and ends."""
    child = workload(lambda: [tried("nothing") for _ in range(CALLS)])
    pid = child.pid
    child.run()
    left = [event.filename for event in loader.inside(bpf) if event.pid == pid]
    assert left == [], "openat has returned, and inflight still holds the call"


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
    assert_nothing_stays_inside(loader, attached, workload)


@pytest.mark.step(5)
def test_a_call_that_was_not_seen_to_begin_is_left_out(loader, bpf, workload):
    bpf.attach_kretprobe(event=bpf.get_syscall_fnname(b"openat"), fn_name=b"syscall_kretprobe")
    try:
        workload(lambda: [tried("nothing") for _ in range(CALLS)]).run()
        seen, inside = list(loader.returned(bpf)), list(loader.inside(bpf))
    finally:
        take_off(bpf)
    assert (seen, inside) == ([], []), "calls whose beginning nobody saw: done and inflight"


@pytest.mark.step(5)
def test_calls_inside_at_the_same_time_do_not_mix(loader, attached, workload, tmp_path):
    def meet_often():
        os.chdir(tmp_path)
        return [call for number in range(CALLS) for call in meet(f"reader-{number}", f"writer-{number}")]

    child = workload(meet_often)
    pid = child.pid
    made = [(tid, name.encode(), ret) for tid, name, ret in child.run()]
    seen = [(event.tid, event.filename, event.ret) for event in events_of(loader, attached, pid)]
    assert sorted(seen) == sorted(made), "left: thread, name, result in the events; right: those of the calls"


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
