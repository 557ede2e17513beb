"""Lesson 03: what has to be in the kernel's tables, and what a reader makes of them."""

import ctypes
import os
import subprocess
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest

CALLS = 23
RACE = 300_007
"""Calls on each of two processors: enough that updates which are not atomic lose some, emulated processors too."""
FIRSTS = 5003
"""Numbers that two processors call for the first time at the same moment."""
MANY_CALLS = 20_011
FIRST_NUMBER = 100_000
"""No system call has this number, nor any above: the kernel counts the call all the same and answers ENOSYS."""
MANY_KEYS = 11_003
"""More than MAX_MAP_ENTRIES."""
NEWEST = 1009

LIBC = ctypes.CDLL(None)


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program, counting: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def programs(native):
    """The native workloads, by name."""
    return {name: native(f"{name}.c") for name in ("busy", "sleeps")}


@pytest.fixture
def waiting(loader, programs):
    """`waiting("busy", 2, 23)`: that program, waiting to be released, and the key that its calls have."""
    started = []

    def start(name, *arguments):
        command = [programs[name], *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1], loader.SyscallKey(started[-1].pid, int(started[-1].stdout.readline()))

    yield start
    for process in started:
        process.kill()
        process.communicate()


def release(process):
    """Let it run to its end; the numbers that it printed."""
    printed, _ = process.communicate("!")
    return [int(word) for word in printed.split()]


def call(numbers):
    """Make a system call of each number."""
    for number in numbers:
        LIBC.syscall(ctypes.c_long(number))


@pytest.mark.step(1)
def test_the_key_holds_the_process_and_the_number(loader, bpf, workload, rng):
    numbers = rng.sample(range(FIRST_NUMBER, 2 * FIRST_NUMBER), CALLS)

    def in_a_thread():
        thread = threading.Thread(target=call, args=(numbers,))
        thread.start()
        thread.join()

    child = workload(in_a_thread)
    pid = child.pid
    child.run()
    seen = sorted(key.number for key in loader.read(bpf, "latest") if key.pid == pid and key.number >= FIRST_NUMBER)
    assert seen == sorted(numbers), "a thread made calls; these numbers stand under its process id"


@pytest.mark.step(1)
def test_a_number_may_be_negative(loader, bpf, workload):
    child = workload(lambda: call([-1]))
    pid = child.pid
    child.run()
    odd = [key.number for key in loader.read(bpf, "latest") if key.pid == pid and not 0 <= key.number < FIRST_NUMBER]
    assert odd == [-1], "a program made the system call -1, which no kernel has"


@pytest.mark.step(1)
def test_equal_keys_are_one_entry(bpf, workload):
    def by_many_ways():
        for _ in range(CALLS):
            os.getppid()
            os.listdir("/proc/self")
            os.stat("/")

    child = workload(by_many_ways)
    pid = child.pid
    child.run()
    entries = Counter(key.number for key, _ in bpf["latest"].items_lookup_batch() if key.pid == pid)
    several = {number: count for number, count in entries.items() if count > 1}
    assert several == {}, "these have several entries: do their keys differ where no field is?"


@pytest.mark.step(2)
@pytest.mark.parametrize("calls", [1, CALLS])
def test_each_call_counts_once(loader, bpf, waiting, calls):
    process, key = waiting("busy", 1, calls)
    release(process)
    counted = loader.read(bpf, "counts").get(key, 0)
    assert counted == calls


@pytest.mark.step(2)
def test_a_count_may_need_more_than_32_bits(loader, bpf):
    key = loader.SyscallKey(os.getpid(), FIRST_NUMBER + 5)
    table = bpf["counts"]
    table[table.Key(key.number, key.pid)] = table.Leaf(0xFFFF_FFFF)
    call([key.number] * CALLS)
    assert loader.read(bpf, "counts")[key] == 0xFFFF_FFFF + CALLS


@pytest.mark.step(2)
def test_two_processors_lose_no_call(loader, bpf, waiting):
    process, key = waiting("busy", 2, RACE)
    [made] = release(process)
    counted = loader.read(bpf, "counts").get(key, 0)
    assert counted == made == 2 * RACE, f"{made} calls made on two processors at once, {counted} counted"


@pytest.mark.step(2)
def test_two_processors_may_make_the_first_call_together(loader, bpf, waiting):
    process, _ = waiting("busy", 2, FIRSTS, FIRST_NUMBER)
    release(process)
    counts = loader.read(bpf, "counts")
    counted = Counter(calls for key, calls in counts.items() if key.pid == process.pid and key.number >= FIRST_NUMBER)
    assert counted == {2: FIRSTS}, "how many numbers were counted how often; all were called twice, at the same moment"


@pytest.mark.step(3)
def test_a_full_table_keeps_the_newest(loader, bpf, workload):
    numbers = range(FIRST_NUMBER, FIRST_NUMBER + MANY_KEYS)
    child = workload(lambda: call(numbers))
    pid = child.pid
    child.run()
    kept = {key.number for key in loader.read(bpf, "latest") if key.pid == pid}
    for _ in bpf["counts"].items_lookup_and_delete_batch():
        pass  # it is full now: the next test needs room
    newest = len(kept.intersection(numbers[-NEWEST:]))
    assert newest == NEWEST, f"after {MANY_KEYS} keys, {newest} of the newest {NEWEST} are in latest"


@pytest.mark.step(4)
def test_a_latency_is_in_the_slot_of_its_size(loader, bpf, waiting):
    """The kernel's view of a sleep is no shorter than what was asked for, no longer than what the program saw."""
    asked = [3_000_000] * 5 + [70_000_000] * 3 + [140_000_000] * 2
    process, key = waiting("sleeps", *asked)
    os.sched_setaffinity(process.pid, {0})
    loader.watch(bpf, key.pid, key.number)
    before = on_cpu_0(bpf)
    took = release(process)
    counted = [now - then for now, then in zip(on_cpu_0(bpf), before, strict=True)]
    assert sum(counted) == len(asked), f"{len(asked)} sleeps, {sum(counted)} latencies"
    for slot in range(len(counted)):
        least, most = (sum(ns.bit_length() >= slot for ns in spans) for spans in (asked, took))
        here = sum(counted[slot:])
        assert least <= here <= most, (
            f"{here} latencies in slot {slot} (from {1 << slot >> 1} ns) and above, not {least} to {most}"
        )


@pytest.mark.step(4)
@pytest.mark.parametrize("seconds", [3, 9, 100])
def test_a_latency_of_seconds_too(bpf, waiting, seconds):
    """The waiting process is inside a call, or about to leave one: as if that had begun so many seconds ago."""
    process, _ = waiting("busy", 1, 1)
    os.sched_setaffinity(process.pid, {0})
    started, before = bpf["started"], on_cpu_0(bpf)
    began = time.monotonic_ns() - seconds * 1_000_000_000
    started[started.Key(process.pid)] = started.Leaf(began)
    release(process)
    most = time.monotonic_ns() - began
    counted = [now - then for now, then in zip(on_cpu_0(bpf), before, strict=True)]
    assert sum(counted) == 1, f"one call, {sum(counted)} latencies"
    slot, least = counted.index(1), seconds * 1_000_000_000
    assert least.bit_length() <= slot <= most.bit_length(), f"a latency of {least} to {most} ns is in slot {slot}"


def on_cpu_0(bpf):
    """What the first processor has in the slots."""
    return [bpf["latency"][slot][0] for slot in range(64)]


@pytest.mark.step(5)
def test_the_histogram_has_the_calls_of_all_processors(loader, bpf, waiting):
    process, key = waiting("busy", 2, MANY_CALLS)
    loader.watch(bpf, key.pid, key.number)
    before = loader.histogram(bpf)
    [made] = release(process)
    timed = sum(loader.histogram(bpf)) - sum(before)
    assert timed == made, f"{made} calls made on two processors, {timed} in the histogram"


@pytest.mark.step(5)
def test_the_histogram_keeps_the_slots_apart(loader, bpf, rng):
    table = bpf["latency"]
    before = loader.histogram(bpf)
    added = [rng.randrange(1, 1000) for _ in range(64)]
    for slot, number in enumerate(added):
        values = table[slot]
        values[len(values) - 1] += number
        table[slot] = values
    after = loader.histogram(bpf)
    assert [now - then for now, then in zip(after, before, strict=True)] == added


@pytest.mark.step(5)
def test_the_histogram_has_the_calls_of_many_processors(loader, bpf, monkeypatch):
    """What BCC gives for a slot on a machine with three processors more."""
    kind = type(bpf["latency"])
    real = kind.getvalue
    before = loader.histogram(bpf)
    monkeypatch.setattr(kind, "getvalue", lambda table, slot: [*real(table, slot), slot, 0, 1000])
    added = [now - then for now, then in zip(loader.histogram(bpf), before, strict=True)]
    assert added == [slot + 1000 for slot in range(64)]


@pytest.mark.step(7)
def test_a_report_has_only_what_is_new(loader, bpf):
    key = loader.SyscallKey(os.getpid(), FIRST_NUMBER + 7)
    reports = loader.Reports(bpf)
    reported = []
    for calls in (CALLS, 0, 5):
        call([key.number] * calls)
        reported.append(reports.next().get(key))
    assert reported == [CALLS, None, 5], f"{CALLS}, 0 and 5 calls were made before the three reports (None: left out)"


@pytest.mark.step(7)
def test_two_readers_see_every_call(loader, bpf):
    key = loader.SyscallKey(os.getpid(), FIRST_NUMBER + 11)
    one, other = loader.Reports(bpf), loader.Reports(bpf)
    call([key.number] * CALLS)
    seen = [reports.next().get(key, 0) for reports in (one, other)]
    assert seen == [CALLS, CALLS], "each of two readers of the same table has to see all calls"


@pytest.mark.step(7)
def test_calls_that_come_while_a_report_is_made_are_in_the_next(loader):
    """A table in which five calls are counted each time that somebody reads it."""
    key = SimpleNamespace(pid=1, number=2)
    made = 0

    def items():
        nonlocal made
        made += 5
        return [(key, SimpleNamespace(value=made))]

    table = SimpleNamespace(items_lookup_batch=items, items=items, clear=lambda: None)
    reports = loader.Reports({"counts": table})
    reported = sum(reports.next()[loader.SyscallKey(1, 2)] for _ in range(CALLS))
    assert reported == made, f"{made} calls were counted, {reported} were reported"
