"""Lesson 06: what the five tracepoints have to tell.

Numbers of waits are exact, because the kernel counts the same ones (Linux 6.12, kernel/sched/stats.h, pcount). The
process that is looked at has CPU `THEIRS` to itself, the test stays on `OURS`: a tracepoint program is skipped while
another one runs on its CPU (kernel/trace/bpf_trace.c, bpf_prog_active).
"""

import contextlib
import ctypes
import fcntl
import os
import re
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

TIMES = 23
NAME_MAX = 127
"""Bytes of a file name that fit into 128 with the zero that ends it."""
OURS, THEIRS = 0, 1
HEADERS = 14 + 20 + 8
"""Bytes before a datagram's own: Ethernet, IPv4, UDP."""
SIOCSIFNAME, SIOCSIFFLAGS, IFF_UP = 0x8923, 0x8914, 1
"""netdevice(7); linux/sockios.h"""


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def opens_of(loader, bpf):
    """opens_of(pid): the opens of a process that has ended."""
    told, raw, table = [], [], bpf["opens"]
    event = table.event

    def kept(data):
        raw.append(bytes(event(data)))
        return event(data)

    table.event = kept
    loader.watch_opens(bpf, told.append)

    def until_now(pid):
        before = None
        while before != len(told):
            before = len(told)
            bpf.perf_buffer_poll(timeout=0)
        return [event for event in told if event.pid == pid]

    until_now.raw = raw
    return until_now


def in_a_thread(function):
    """Call `function` in a thread of its own."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


class Watched:
    """A process that sleeps before its work and after it; its numbers are read while it sleeps."""

    def __init__(self, child, rest, eventually):
        self.child, self.pid, self._rest, self._eventually = child, child.pid, rest, eventually
        eventually(lambda: sleeping_on(self.pid) is not None, "the workload to sleep")
        self.before = scheduler(self.pid)

    def work(self):
        self.child.start()
        self._eventually(lambda: sleeping_on(self.pid) == self._rest, "the workload to be done")


def sleeping_on(task):
    """The first argument of the system call that a thread sleeps in, None while it has a CPU (proc_pid_syscall(5))."""
    words = Path(f"/proc/{task}/syscall").read_text().split()
    return int(words[1], 16) if words[0] not in ("running", "-1") else None


def scheduler(task):
    """The kernel's own numbers: how often and how long a thread waited, how often another was let in before it."""
    _, waited_ns, waits = map(int, Path(f"/proc/{task}/schedstat").read_text().split())
    status = Path(f"/proc/{task}/status").read_text()
    put_aside = int(re.search(r"nonvoluntary_ctxt_switches:\s*(\d+)", status)[1])
    return {"waits": waits, "waited ms": waited_ns // 1_000_000, "put aside": put_aside}


@pytest.fixture
def watched(workload, eventually):
    """watched(work): a process on a CPU of its own that waits for .work()."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OURS})
    rest, hold = os.pipe()

    def start(work):
        def live():
            work()
            os.read(rest, 1)

        child = workload(live)
        os.sched_setaffinity(child.pid, {THEIRS})
        return Watched(child, rest, eventually)

    yield start
    os.close(rest)
    os.close(hold)
    os.sched_setaffinity(0, everywhere)


def spin():
    while True:
        pass


def times_put_aside():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def compute():
    enough = times_put_aside() + TIMES
    while times_put_aside() < enough:
        pass


def work_in_the_kernel():
    """Read zeros, most of the time within one system call; there the kernel changes threads in another way."""
    enough = times_put_aside() + TIMES
    zeros, memory = os.open("/dev/zero", os.O_RDONLY), bytearray(1 << 22)
    while times_put_aside() < enough:
        os.readv(zeros, [memory])


def count(loader, bpf, tid):
    """How many waits of a thread the loader knows."""
    found = loader.waits(bpf).get(tid)
    return found.count if found else 0


def name_of(rng):
    return "".join(rng.choices("abcdefgh", k=15))


@pytest.mark.step(1)
def test_a_format_becomes_fields(loader, rng):
    offset, size = rng.randrange(8, 100), rng.randrange(100, 200)
    text = (
        "name: made_up\nID: 7\nformat:\n"
        "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n"
        f"\tfield:char prev_comm[16];\toffset:{offset};\tsize:16;\tsigned:0;\n"
        "\tfield:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;\n"
        f"\tfield:const char * filename;\toffset:24;\tsize:{size};\tsigned:0;\n"
        "\tfield:__data_loc char[] name;\toffset:20;\tsize:4;\tsigned:0;\n\n"
        'print fmt: "prev_comm=%s", REC->prev_comm\n'
    )
    assert loader.fields(text) == [
        loader.Field("unsigned short", "common_type", 0, 2),
        loader.Field("char[16]", "prev_comm", offset, 16),
        loader.Field("unsigned long[6]", "args", 16, 48),
        loader.Field("const char *", "filename", 24, size),
        loader.Field("__data_loc char[]", "name", 20, 4),
    ]


@pytest.mark.step(1)
@pytest.mark.parametrize("tracepoint", ["sched:sched_switch", "net:net_dev_queue", "syscalls:sys_enter_openat"])
def test_the_fields_are_those_that_the_kernel_prints(loader, tracepoint):
    text = loader.format_of(tracepoint)
    printed = set(re.findall(r"(?:REC->|__get_str\()(\w+)", text))
    names = {field.name for field in loader.fields(text)}
    assert printed - names == set(), f"{tracepoint} has these too"


@pytest.mark.step(2)
def test_each_open_names_process_and_file(loader, opens_of, workload, rng):
    names = [f"/no/such/{name_of(rng)}/{number}" for number in range(TIMES)]
    other = name_of(rng)

    def open_all():
        os.sched_setaffinity(0, {THEIRS})
        Path("/proc/self/comm").write_text(other)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.open(name, os.O_RDONLY)

    child = workload(open_all)
    pid, comm = child.pid, child.comm
    child.run()
    told = opens_of(pid)
    expected = [("/proc/self/comm", comm), *((name, other) for name in names)]
    assert told == [loader.Open(pid, comm, name) for name, comm in expected]


@pytest.mark.step(2)
def test_an_open_without_a_readable_name_is_one_too(opens_of, workload):
    child = workload(lambda: ctypes.CDLL(None).open(ctypes.c_void_p(8), os.O_RDONLY))
    pid = child.pid
    child.run()
    names = [event.name for event in opens_of(pid)]
    assert names[-1:] == [""], "open() at the address 8 has failed; it was called"


@pytest.mark.step(2)
def test_a_long_name_is_cut_and_brings_nothing_along(opens_of, workload):
    names = [
        f"/no/{letter * length}" for letter, length in zip("abcd", (1, NAME_MAX - 4, NAME_MAX - 3, 200), strict=True)
    ]

    def open_all():
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.open(name, os.O_RDONLY)

    child = workload(open_all)
    pid = child.pid
    child.run()
    told = sorted(event.name for event in opens_of(pid))
    behind = [raw[20:] for raw in opens_of.raw if any(raw[20:].partition(b"\0")[2])]
    assert told == [name[:NAME_MAX] for name in names], f"right: the names, up to {NAME_MAX} bytes of each"
    assert behind == [], "behind the zero that ends these names stood more than zeros"


@pytest.mark.step(2)
def test_a_thread_opens_for_its_process(opens_of, workload):
    child = workload(lambda: in_a_thread(lambda: os.close(os.open("/dev/null", os.O_RDONLY))))
    pid = child.pid
    child.run()
    names = [event.name for event in opens_of(pid)]
    assert names == ["/dev/null"], "a second thread opened one file; under the process id there is something else"


@pytest.mark.step(3)
@pytest.mark.parametrize("work", [compute, work_in_the_kernel])
def test_a_thread_that_is_put_aside_waits(loader, bpf, watched, work):
    one, rival = watched(work), watched(spin)
    before = count(loader, bpf, one.pid)
    rival.child.start()
    one.work()
    counted = count(loader, bpf, one.pid) - before
    after = scheduler(one.pid)
    put_aside, waits = (after[what] - one.before[what] for what in ("put aside", "waits"))
    assert put_aside <= counted <= waits, (
        f"{counted} waits are counted; it was put aside {put_aside} times and waited {waits} times in all"
    )


@pytest.mark.step(3)
def test_sleeping_and_running_are_not_waiting(loader, bpf, watched):
    """Alone on its CPU it waits for kernel threads at most. In short turns: one of those spoils one turn, not all."""
    turns, turn_s = 50, 0.02

    def sleep_and_run():
        for _ in range(turns):
            time.sleep(turn_s)
            enough = time.thread_time() + turn_s
            while time.thread_time() < enough:
                pass

    def counted_ms():
        known = loader.waits(bpf).get(alone.pid)
        return known.total_ns // 1_000_000 if known else 0

    alone = watched(sleep_and_run)
    before_ms = counted_ms()
    alone.work()
    waited_ms = scheduler(alone.pid)["waited ms"] - alone.before["waited ms"]
    seen_ms = counted_ms() - before_ms
    assert seen_ms < waited_ms + 250, (
        f"asleep for {turns * turn_s:.0f} s and running for as long, it waited {waited_ms} ms; {seen_ms} ms are counted"
    )


@pytest.mark.step(3)
def test_who_sleeps_or_has_ended_is_not_waiting(bpf, watched, eventually):
    told, tell = os.pipe()
    one = watched(lambda: in_a_thread(lambda: os.write(tell, b"%d" % threading.get_native_id())))
    one.work()
    tids = {one.pid, int(os.read(told, 32))}
    os.close(told)
    os.close(tell)
    eventually(
        lambda: not tids & {tid.value for tid in bpf["waiting"]},
        "a process that sleeps and a thread that has ended to be out of `waiting`",
    )


@pytest.mark.step(3)
def test_a_wait_has_the_name_of_the_thread_that_waited(loader, bpf, watched, rng):
    name = name_of(rng)

    def renamed():
        Path("/proc/self/comm").write_text(name)
        compute()

    one, rival = watched(renamed), watched(spin)
    rival.child.start()
    one.work()
    comm = loader.waits(bpf)[one.pid].comm
    assert comm == name


@pytest.mark.step(5)
def test_each_wait_of_a_sleeper_is_counted(loader, bpf, watched, eventually):
    bell, ring = os.pipe()

    def sleep_often():
        for _ in range(TIMES):
            os.read(bell, 1)

    one = watched(sleep_often)
    before = count(loader, bpf, one.pid)
    one.child.start()
    for _ in range(TIMES):
        eventually(lambda: sleeping_on(one.pid) == bell, "the workload to sleep")
        os.write(ring, b"!")
    one.work()
    counted = count(loader, bpf, one.pid) - before
    waits = scheduler(one.pid)["waits"] - one.before["waits"]
    os.close(bell)
    os.close(ring)
    assert counted == waits, f"woken {TIMES + 1} times, it waited {waits} times; {counted} of them are counted"


@pytest.mark.step(5)
def test_the_first_wait_of_a_new_thread_is_counted(loader, bpf, watched, eventually):
    rest, hold = os.pipe()

    def start_threads():
        for _ in range(TIMES):
            threading.Thread(target=os.read, args=(rest, 1), daemon=True).start()

    one = watched(start_threads)
    one.work()
    tids = [int(tid) for tid in os.listdir(f"/proc/{one.pid}/task") if int(tid) != one.pid]
    for tid in tids:
        eventually(lambda tid=tid: sleeping_on(tid) == rest, "a new thread to sleep")
    waits = {tid: scheduler(tid)["waits"] for tid in tids}
    counted = {tid: count(loader, bpf, tid) for tid in tids}
    os.close(rest)
    os.close(hold)
    assert len(tids) == TIMES
    assert counted == waits, f"since they are there, {TIMES} new threads waited {sum(waits.values())} times"


@pytest.mark.step(6)
def test_bytes_are_summed_by_process_and_device(loader, bpf, workload, rng):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    address = receiver.getsockname()
    expected, children = {}, []
    for _ in range(2):
        sizes = [rng.randrange(1, 1400) for _ in range(TIMES)]

        def send(sizes=sizes):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for size in sizes:
                    sender.sendto(bytes(size), address)

        child = workload(lambda send=send: in_a_thread(send))
        expected[loader.Sender(child.pid, child.comm, "lo")] = sum(sizes) + TIMES * HEADERS
        children.append(child)
    pids = {child.pid for child in children}
    for child in children:
        child.run()
    receiver.close()
    sent = {who: total for who, total in loader.sent(bpf).items() if who.pid in pids}
    assert sent == expected, f"each sent {TIMES} datagrams; every one is {HEADERS} bytes longer with its headers"


@pytest.mark.step(6)
def test_a_packet_may_be_long(loader, bpf, workload):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    address, long = receiver.getsockname(), 65507

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            sender.sendto(bytes(long), address)

    child = workload(send)
    pid = child.pid
    child.run()
    receiver.close()
    sent = sum(total for who, total in loader.sent(bpf).items() if who.pid == pid)
    assert sent == long + HEADERS, "bytes of one datagram of the largest size, with its headers"


@pytest.mark.step(6)
def test_a_device_has_its_own_name(loader, bpf, workload, rng):
    name = b"lab" + bytes(rng.choices(b"abcdefgh", k=12))

    def send():
        os.unshare(os.CLONE_NEWNET)  # a network of its own, whose loopback device may have any name
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            fcntl.ioctl(sender, SIOCSIFNAME, struct.pack("16s16s", b"lo", name))
            fcntl.ioctl(sender, SIOCSIFFLAGS, struct.pack("16sh", name, IFF_UP))
            for _ in range(TIMES):
                sender.sendto(b"!", ("127.0.0.1", 9))

    child = workload(send)
    pid = child.pid
    child.run()
    devices = [who.device for who in loader.sent(bpf) if who.pid == pid]
    assert devices == [name.decode()], "left: where the bytes were counted; right: where they were sent"
