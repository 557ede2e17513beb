"""Lesson 06 against the kernel's own books: /proc/PID/schedstat for waits, the interface's counters for bytes."""

import os
import socket
import time
from pathlib import Path

import pytest

DATAGRAMS = 23
ETHERNET = 14
"""Bytes of a packet that the loopback device takes off before it counts (drivers/net/loopback.c, eth_type_trans)."""


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


def schedstat(pid):
    """Nanoseconds waited, and number of waits (Documentation/scheduler/sched-stats.rst)."""
    _, waited, waits = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(waited), int(waits)


def test_waits_agree_with_schedstat(loader, bpf, workload, eventually):
    """The number is the same. The times are read a moment apart at each end of a wait: the kernel takes its clock as
    it begins to choose, the tracepoint fires when it has chosen. Both ends are equally late, unless the host takes the
    CPU away in between, for a few of its time slices. Against the second that two spinning processes wait for
    each other, an eighth leaves room for 30 such slices of 4 ms.
    """
    os.sched_setaffinity(0, {0})
    rest, hold = os.pipe()

    def work():
        os.sched_setaffinity(0, {1})
        enough = time.thread_time() + 1
        while time.thread_time() < enough:
            pass
        os.read(rest, 1)

    def spin():
        os.sched_setaffinity(0, {1})
        while True:
            pass

    one, rival = workload(work), workload(spin)
    rival.start()
    one.start()
    asleep = Path(f"/proc/{one.pid}/syscall")
    eventually(lambda: asleep.read_text().split()[1:2] == [hex(rest)], "the workload to be done")
    wait = loader.waits(bpf)[one.pid]
    waited_ns, number = schedstat(one.pid)
    os.close(rest)
    os.close(hold)
    os.sched_setaffinity(0, range(os.cpu_count()))
    print(f"waits: reference {wait.count}, schedstat {number}")
    print(f"waited: reference {wait.total_ns / 1e6:.3f} ms, schedstat {waited_ns / 1e6:.3f} ms")
    assert wait.count == number
    assert abs(wait.total_ns - waited_ns) < waited_ns / 8


def test_bytes_agree_with_the_interface(loader, bpf, workload):
    """net_dev_queue sees a packet with its Ethernet header, lo counts it without: 14 bytes less for each."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    address = receiver.getsockname()

    def counter(name):
        return int(Path(f"/sys/class/net/lo/statistics/tx_{name}").read_text())

    def reference():
        return sum(total for who, total in loader.sent(bpf).items() if who.device == "lo")

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(DATAGRAMS):
                sender.sendto(bytes(101 * number), address)

    before = reference(), counter("bytes"), counter("packets")
    workload(send).run()
    after = reference(), counter("bytes"), counter("packets")
    receiver.close()
    ours, theirs, packets = (now - then for now, then in zip(after, before, strict=True))
    print(f"bytes: reference {ours}, lo {theirs} and {packets} packets of {ETHERNET} bytes more")
    assert packets == DATAGRAMS
    assert ours == theirs + packets * ETHERNET
