"""Lesson 06: what has to be seen at the five tracepoints.

Numbers of waits are exact, because the kernel counts the same ones (Linux 6.12, kernel/sched/stats.h, pcount). The
process under observation has CPU `THEIRS` to itself, the test stays on `OURS`: a tracepoint program is skipped while
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
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from bcc import BPF

TIMES = 23
NAME_MAX = 127
"""Bytes of a file name that fit into 128 with the zero that ends it."""
OURS, THEIRS = 0, 1
HEADERS = 14 + 20 + 8
"""Bytes before a datagram's own: Ethernet, IPv4, UDP."""
SIOCSIFNAME, SIOCSIFFLAGS, IFF_UP = 0x8923, 0x8914, 1
"""netdevice(7); linux/sockios.h"""
PAIR = 2 * (100 + HEADERS)
"""Bytes of a pair of datagrams from senders.c."""
CONTROL = """
// What must lose where two CPUs add at once: a plain addition, and a first value that is put without looking again.
struct name {
    char comm[16];
};

BPF_HASH(plain, u32, u64);
BPF_HASH(firsts, struct name, u64);

TRACEPOINT_PROBE(net, net_dev_queue)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct name name = {};
    u64 none = 0, length = args->len, *bytes;

    bytes = plain.lookup_or_try_init(&pid, &none);
    if (bytes)
        *bytes += length;
    bpf_get_current_comm(name.comm, sizeof(name.comm));
    bytes = firsts.lookup(&name);
    if (bytes)
        lock_xadd(bytes, length);
    else
        firsts.update(&name, &length);
    return 0;
}
"""


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, attached: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


def difference(seen, expected):
    """What is missing and what is too much, in words; empty if both hold the same."""
    seen, expected = Counter(seen), Counter(expected)
    rests = {"missing": expected - seen, "not expected": seen - expected}
    return "; ".join(f"{rest.total()} {what}, such as {next(iter(rest))!r}" for what, rest in rests.items() if rest)


@pytest.fixture(scope="module")
def opens_of(loader, bpf):
    """opens_of(pid): the opens of a process that has exited."""
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
    """Call `function` in another thread."""
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
        self._eventually(lambda: sleeping_on(self.pid) == self._rest, "the workload to finish")


def sleeping_on(task):
    """The first argument of the system call that a thread sleeps in, None while it has a CPU (proc_pid_syscall(5))."""
    words = Path(f"/proc/{task}/syscall").read_text().split()
    return int(words[1], 16) if words[0] not in ("running", "-1") else None


def scheduler(task):
    """The kernel's own numbers: how often and how long a thread waited, how often it was preempted."""
    _, waited_ns, waits = map(int, Path(f"/proc/{task}/schedstat").read_text().split())
    status = Path(f"/proc/{task}/status").read_text()
    preempted = int(re.search(r"nonvoluntary_ctxt_switches:\s*(\d+)", status)[1])
    return {"waits": waits, "waited ms": waited_ns // 1_000_000, "preempted": preempted}


@pytest.fixture
def watched(workload, eventually):
    """watched(work): a process alone on its CPU that waits for .work()."""
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


def times_preempted():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def compute():
    """Stay in user space, nearly all the time: the thread is preempted on the way back to it."""
    enough = times_preempted() + TIMES
    while times_preempted() < enough:
        for _ in range(20_000):
            pass


def work_in_the_kernel():
    """Read zeros, most of the time within one system call; there the kernel changes threads in another way."""
    enough = times_preempted() + TIMES
    zeros, memory = os.open("/dev/zero", os.O_RDONLY), bytearray(1 << 22)
    while times_preempted() < enough:
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
    expected = [
        loader.Field("unsigned short", "common_type", 0, 2),
        loader.Field("char[16]", "prev_comm", offset, 16),
        loader.Field("unsigned long[6]", "args", 16, 48),
        loader.Field("const char *", "filename", 24, size),
        loader.Field("__data_loc char[]", "name", 20, 4),
    ]
    found = loader.fields(text)
    assert len(found) == len(expected), f"fields() found {len(found)} fields in a format of {len(expected)}"
    for field, right in zip(found, expected, strict=True):
        if repr(field) != repr(right):  # 16.0 and "16" are not 16
            pytest.fail(f"fields() returned {field}; expected {right}")


@pytest.mark.step(1)
@pytest.mark.parametrize("tracepoint", ["sched:sched_switch", "net:net_dev_queue", "syscalls:sys_enter_openat"])
def test_the_fields_are_those_that_the_kernel_prints(loader, tracepoint):
    text = loader.format_of(tracepoint)
    printed = set(re.findall(r"(?:REC->|__get_str\()(\w+)", text))
    missing = sorted(printed - {field.name for field in loader.fields(text)})
    if missing:
        pytest.fail(
            f"the format of {tracepoint} has {len(printed)} fields that it prints; fields() lacks {', '.join(missing)}"
        )


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
    if wrong := difference(told, [loader.Open(pid, comm, name) for name, comm in expected]):
        pytest.fail(f"a process called openat {len(expected)} times, {len(told)} opens were reported: {wrong}")


@pytest.mark.step(2)
def test_an_open_without_a_readable_name_is_one_too(opens_of, workload):
    child = workload(lambda: ctypes.CDLL(None).open(ctypes.c_void_p(8), os.O_RDONLY))
    pid = child.pid
    child.run()
    empty = sum(event.name == "" for event in opens_of(pid))
    assert empty == 1, (
        f"openat was called with an unreadable name (address 8): expected 1 Open with the name '', {empty} came"
    )


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
    unclean = sum(any(raw[20:].partition(b"\0")[2]) for raw in opens_of.raw)
    if wrong := difference(told, [name[:NAME_MAX] for name in names]):
        pytest.fail(f"event.name has to be the file's name, cut after {NAME_MAX} bytes: {wrong}")
    assert unclean == 0, (
        f"event.name must hold only zeros after the name; it does not in {unclean} of {len(opens_of.raw)} events"
    )


@pytest.mark.step(2)
def test_a_thread_opens_for_its_process(opens_of, workload):
    child = workload(lambda: in_a_thread(lambda: os.close(os.open("/dev/null", os.O_RDONLY))))
    pid = child.pid
    child.run()
    names = [event.name for event in opens_of(pid)]
    if names != ["/dev/null"]:
        pytest.fail(
            f"a second thread opened /dev/null; under its process's id {len(names)} opens were reported, expected 1"
        )


@pytest.mark.step(3)
@pytest.mark.parametrize("work", [compute, work_in_the_kernel])
def test_a_preempted_thread_waits(loader, bpf, watched, work):
    one, rival = watched(work), watched(spin)
    before = count(loader, bpf, one.pid)
    rival.child.start()
    one.work()
    counted = count(loader, bpf, one.pid) - before
    after = scheduler(one.pid)
    preempted, waits = (after[what] - one.before[what] for what in ("preempted", "waits"))
    if not preempted <= counted <= waits:
        pytest.fail(
            f"{counted} waits are counted; the thread was preempted {preempted} times and waited {waits} times in all"
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
        f"a process was asleep for {turns * turn_s:.0f} s and running for as long, "
        f"it waited {waited_ms} ms; {seen_ms} ms are counted"
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
    wait = loader.waits(bpf).get(one.pid)
    comm = wait.comm if wait else None
    assert comm == name, f"the thread that waited is called {name!r}; its entry in waits says {comm!r}"


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
    assert counted == waits, (
        f"a thread was woken {TIMES + 1} times and waited {waits} times; {counted} waits are counted"
    )


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
    assert len(tids) == TIMES, f"the workload has {len(tids)} threads beside its first, expected {TIMES}"
    off = sum(counted[tid] != waits[tid] for tid in tids)
    assert off == 0, (
        f"{TIMES} new threads waited {sum(waits.values())} times, {sum(counted.values())} waits are counted; "
        f"{off} of the threads have a wrong count"
    )


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
    if wrong := difference(list(sent), list(expected)):
        pytest.fail(f"two processes sent {TIMES} datagrams each, from a second thread, to lo; keys of sent: {wrong}")
    for who, total in expected.items():
        assert sent[who] == total, (
            f"{who.comm} sent {TIMES} datagrams, {total} bytes with {HEADERS} of headers each; sent has {sent[who]}"
        )


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
    expected = long + HEADERS
    assert sent == expected, f"one datagram of the largest size has {expected} bytes with its headers; sent has {sent}"


@pytest.mark.step(6)
def test_a_device_has_its_own_name(loader, bpf, workload, rng):
    name = b"lab" + bytes(rng.choices(b"abcdefgh", k=12))

    def send():
        os.unshare(os.CLONE_NEWNET)  # a separate network, whose loopback device may have any name
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            fcntl.ioctl(sender, SIOCSIFNAME, struct.pack("16s16s", b"lo", name))
            fcntl.ioctl(sender, SIOCSIFFLAGS, struct.pack("16sh", name, IFF_UP))
            for _ in range(TIMES):
                sender.sendto(b"!", ("127.0.0.1", 9))

    child = workload(send)
    pid = child.pid
    child.run()
    devices = [who.device for who in loader.sent(bpf) if who.pid == pid]
    if devices != [name.decode()]:
        pytest.fail(f"the bytes were sent to the device {name.decode()!r}; sent has them under {devices}")


@pytest.fixture(scope="module")
def control():
    """A program that must lose bytes where two CPUs add at once: only then has a race taken place."""
    bpf = BPF(text=CONTROL)
    yield bpf
    bpf.cleanup()


@pytest.fixture
def pairs(native):
    """`pairs(first, number)`: senders.c sends that many pairs of datagrams; `pairs.pid` is its process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        command = [native("senders.c"), str(receiver.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n", "senders.c exited before it printed ready"

            def send(first, number):
                process.stdin.write(f"{first} {number}\n")
                process.stdin.flush()
                assert process.stdout.readline() == "done\n", "senders.c exited before it had sent everything"

            send.pid = process.pid
            yield send
            process.kill()


def value_of(table, key):
    """What a map of numbers holds under `key`."""
    return table[key].value if key in table else 0


@pytest.mark.step(6)
def test_two_cpus_lose_no_byte(loader, bpf, control, pairs, provoke):
    made, batch = 0, 499

    def control_loses():
        nonlocal made
        before = value_of(control["plain"], ctypes.c_uint32(pairs.pid))
        pairs(-1, batch)
        made += batch
        return value_of(control["plain"], ctypes.c_uint32(pairs.pid)) - before < batch * PAIR

    provoke(control_loses, "a loss in a plain addition on two CPUs")
    counted = sum(total for who, total in loader.sent(bpf).items() if who.pid == pairs.pid)
    assert counted == made * PAIR, f"{made * PAIR} bytes were sent by two CPUs at once, {counted} are counted in sent"


@pytest.mark.step(6)
def test_two_cpus_may_send_the_first_packet_together(loader, bpf, control, pairs, provoke):
    made, batch = 0, 97
    names = control["firsts"]

    def control_loses():
        nonlocal made
        new = {f"n{number}".encode() for number in range(made, made + batch)}
        pairs(made, batch)
        made += batch
        return any(total.value < PAIR for name, total in names.items() if name.comm in new)

    provoke(control_loses, "a loss of a first value, put on two CPUs without looking again,")
    counted = Counter(total for who, total in loader.sent(bpf).items() if who.pid == pairs.pid)
    lost = made - counted[PAIR]
    assert lost == 0, (
        f"{made} times two CPUs sent the first two packets of a name at once, {PAIR} bytes; sent has fewer {lost} times"
    )
