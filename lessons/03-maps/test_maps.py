"""Lesson 03: what is in the kernel's maps, and what a reader makes of them."""

import ctypes
import os
import subprocess
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from bcc import BPF

CALLS = 23
RACE = 20_011
"""Calls on each of two CPUs, before the control is asked whether it has lost one."""
FIRSTS = 499
"""Numbers that two CPUs call for the first time at the same moment, before the control is asked."""
MANY_CALLS = 20_011
FIRST_NUMBER = 100_000
"""No system call has this number, nor any above: the tracepoint is hit all the same, and the call returns ENOSYS."""
MANY_KEYS = 11_003
"""More than MAX_MAP_ENTRIES."""
NEWEST = 1009

CONTROL = """
// What must lose where two CPUs count at once: a plain addition, and a first value that is put without looking again.
struct call {
    s64 number;
    u64 pid;
};

BPF_HASH(plain, struct call, u64);
BPF_HASH(firsts, struct call, u64);

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    struct call call = {.number = args->id, .pid = bpf_get_current_pid_tgid() >> 32};
    u64 none = 0, one = 1, *calls;

    if (call.number == FIRST_NUMBER) {
        calls = plain.lookup_or_try_init(&call, &none);
        if (calls)
            *calls += 1;
    } else if (call.number > FIRST_NUMBER) {
        calls = firsts.lookup(&call);
        if (calls)
            lock_xadd(calls, 1);
        else
            firsts.update(&call, &one);
    }
    return 0;
}
"""

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
    """`waiting("busy", 2, 23)`: that program, waiting to be released, and the key of its calls."""
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
    """Let it run until it exits; the numbers that it printed."""
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
    seen = {key.number for key in loader.read(bpf, "latest") if key.pid == pid and key.number >= FIRST_NUMBER}
    found = len(seen.intersection(numbers))
    assert found == CALLS, (
        f"a second thread made {CALLS} system calls, each with another number; "
        f"latest has {found} of these numbers under its process id"
    )
    others = len(seen.difference(numbers))
    assert others == 0, f"latest has {others} numbers under the process id that the process did not call"


@pytest.mark.step(1)
def test_a_number_may_be_negative(loader, bpf, workload):
    child = workload(lambda: call([-1]))
    pid = child.pid
    child.run()
    odd = [key.number for key in loader.read(bpf, "latest") if key.pid == pid and not 0 <= key.number < FIRST_NUMBER]
    found = len(odd)
    assert found == 1, f"a process made the system call -1, which no kernel has; latest has {found} such keys, not 1"
    assert odd[0] == -1, f"a process made the system call -1; latest has it under the number {odd[0]}"


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
    several = [number for number, count in entries.items() if count > 1]
    surplus = sum(entries[number] - 1 for number in several)
    assert surplus == 0, (
        f"{len(several)} numbers of one process have {len(several) + surplus} entries in latest, expected one each: "
        "do their keys differ in bytes that belong to no field?"
    )


@pytest.mark.step(2)
@pytest.mark.parametrize("calls", [1, CALLS])
def test_each_call_counts_once(loader, bpf, waiting, calls):
    process, key = waiting("busy", 1, calls)
    release(process)
    counted = loader.read(bpf, "counts").get(key, 0)
    assert counted == calls, (
        f"one process called getppid {calls} {'time' if calls == 1 else 'times'}, counts says {counted}"
    )


@pytest.mark.step(2)
def test_a_count_may_need_more_than_32_bits(loader, bpf):
    key = loader.SyscallKey(os.getpid(), FIRST_NUMBER + 5)
    table = bpf["counts"]
    table[table.Key(key.number, key.pid)] = table.Leaf(0xFFFF_FFFF)
    call([key.number] * CALLS)
    counted = loader.read(bpf, "counts").get(key, 0)
    assert counted == 0xFFFF_FFFF + CALLS, f"counts was at {0xFFFF_FFFF}, {CALLS} calls later it is at {counted}"


@pytest.fixture(scope="module")
def control():
    """A program that must lose calls where two CPUs count at once: only then has a race taken place."""
    bpf = BPF(text=CONTROL, cflags=[f"-DFIRST_NUMBER={FIRST_NUMBER}"])
    yield bpf
    bpf.cleanup()


def counts_of(table, process):
    """Number → count, of the calls that a process made, as the control counted them."""
    return {call.number: count.value for call, count in table.items_lookup_batch() if call.pid == process.pid}


@pytest.mark.step(2)
def test_two_cpus_lose_no_call(loader, bpf, control, waiting, provoke):
    made = counted = 0

    def control_loses():
        nonlocal made, counted
        process, key = waiting("busy", 2, RACE, FIRST_NUMBER, 0)
        [calls] = release(process)
        made += calls
        counted += loader.read(bpf, "counts").get(key, 0)
        return counts_of(control["plain"], process)[FIRST_NUMBER] < calls

    provoke(control_loses, "a loss in a plain addition on two CPUs")
    assert counted == made, f"{made} calls made on two CPUs at once, {counted} counted"


@pytest.mark.step(2)
def test_two_cpus_may_make_the_first_call_together(loader, bpf, control, waiting, provoke):
    numbers = range(FIRST_NUMBER + 1, FIRST_NUMBER + 1 + FIRSTS)
    seen = Counter()

    def control_loses():
        process, _ = waiting("busy", 2, FIRSTS, numbers[0], 1)
        release(process)
        counts = loader.read(bpf, "counts")
        seen.update(counts.get(loader.SyscallKey(process.pid, number), 0) for number in numbers)
        lost = sum(count < 2 for count in counts_of(control["firsts"], process).values())
        for table in (bpf["counts"], control["plain"], control["firsts"]):
            for _ in table.items_lookup_and_delete_batch():
                pass  # the next numbers need room
        return lost > 0

    provoke(control_loses, "a loss of a first value, put on two CPUs without looking again,")
    called, right = seen.total(), seen.pop(2, 0)
    wrong = ", ".join(f"{many} have the count {calls}" for calls, many in sorted(seen.items()))
    assert right == called, f"{called} numbers were called twice each, by two CPUs at the same moment; {wrong}"


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
    assert newest == NEWEST, f"after {MANY_KEYS} new keys, {newest} of the newest {NEWEST} are in latest"


@pytest.mark.step(4)
def test_a_latency_is_in_the_slot_of_its_size(loader, bpf, waiting):
    """The kernel's latency of a sleep is at least what was asked for, at most what the program measured."""
    asked = [3_000_000] * 5 + [70_000_000] * 3 + [140_000_000] * 2
    process, key = waiting("sleeps", *asked)
    os.sched_setaffinity(process.pid, {0})
    loader.watch(bpf, key.pid, key.number)
    before = on_cpu_0(bpf)
    took = release(process)
    counted = [now - then for now, then in zip(on_cpu_0(bpf), before, strict=True)]
    total, sleeps = sum(counted), len(asked)
    assert total == sleeps, f"{sleeps} sleeps were made, {total} latencies are in the slots"
    for slot in range(len(counted)):
        least, most = (sum(ns.bit_length() >= slot for ns in spans) for spans in (asked, took))
        here = sum(counted[slot:])
        expected = f"exactly {least}" if least == most else f"{least} to {most}"
        assert least <= here <= most, (
            f"{here} latencies are in slot {slot} (from {1 << slot >> 1} ns) and above, expected {expected}"
        )


@pytest.mark.step(4)
@pytest.mark.parametrize("seconds", [3, 9, 100])
def test_a_latency_of_seconds_too(bpf, waiting, seconds):
    """The waiting process is inside a call, or about to leave one: as if that call had begun that many seconds ago."""
    process, _ = waiting("busy", 1, 1)
    os.sched_setaffinity(process.pid, {0})
    started, before = bpf["started"], on_cpu_0(bpf)
    began = time.monotonic_ns() - seconds * 1_000_000_000
    started[started.Key(process.pid)] = started.Leaf(began)
    release(process)
    most = time.monotonic_ns() - began
    counted = [now - then for now, then in zip(on_cpu_0(bpf), before, strict=True)]
    total = sum(counted)
    assert total == 1, f"1 call was timed, {total} latencies are in the slots"
    slot, least = counted.index(1), seconds * 1_000_000_000
    assert least.bit_length() <= slot <= most.bit_length(), (
        f"a latency of {least} to {most} ns is in slot {slot}, expected {least.bit_length()} to {most.bit_length()}"
    )


def on_cpu_0(bpf):
    """What the first CPU has in the slots."""
    return [bpf["latency"][slot][0] for slot in range(64)]


@pytest.mark.step(5)
def test_the_histogram_has_the_calls_of_all_cpus(loader, bpf, waiting):
    process, key = waiting("busy", 2, MANY_CALLS)
    loader.watch(bpf, key.pid, key.number)
    before = loader.histogram(bpf)
    [made] = release(process)
    timed = sum(loader.histogram(bpf)) - sum(before)
    assert timed == made, f"{made} calls made on two CPUs, histogram() has {timed} more than before"


def assert_numbers(slots):
    """histogram() gave one int for each slot."""
    assert isinstance(slots, list), f"histogram() returned {type(slots).__name__}, expected a list"
    found = len(slots)
    assert found == 64, f"histogram() returned {found} numbers, expected one for each of the 64 slots"
    kinds = {type(number).__name__ for number in slots} - {"int"}
    found = len(kinds)
    assert found == 0, f"histogram() returned {', '.join(sorted(kinds))} in its list, expected int: the CPUs' sum"


def assert_added(loader, bpf, before, expected, how):
    """Since `before`, histogram() has grown by `expected`, slot by slot."""
    after = loader.histogram(bpf)
    assert_numbers(after)
    seen = [now - then for now, then in zip(after, before, strict=True)]
    wrong = [slot for slot in range(64) if seen[slot] != expected[slot]]
    first = f"; slot {wrong[0]} grew by {seen[wrong[0]]}, expected {expected[wrong[0]]}" if wrong else ""
    found = len(wrong)
    assert found == 0, f"{found} of 64 slots in histogram() are wrong, {how}{first}"


@pytest.mark.step(5)
def test_the_histogram_keeps_the_slots_apart(loader, bpf, rng):
    table = bpf["latency"]
    before = loader.histogram(bpf)
    assert_numbers(before)
    added = [rng.randrange(1, 1000) for _ in range(64)]
    for slot, number in enumerate(added):
        values = table[slot]
        values[len(values) - 1] += number
        table[slot] = values
    assert_added(loader, bpf, before, added, "each of which has got calls on the last CPU")


@pytest.mark.step(5)
def test_the_histogram_has_the_calls_of_many_cpus(loader, bpf, monkeypatch):
    """What BCC returns for a slot on a machine with three more CPUs."""
    kind = type(bpf["latency"])
    real = kind.getvalue
    before = loader.histogram(bpf)
    assert_numbers(before)
    monkeypatch.setattr(kind, "getvalue", lambda table, slot: [*real(table, slot), slot, 0, 1000])
    assert_added(loader, bpf, before, [slot + 1000 for slot in range(64)], "with three more CPUs than this machine has")


@pytest.mark.step(7)
def test_a_report_has_only_what_is_new(loader, bpf):
    key = loader.SyscallKey(os.getpid(), FIRST_NUMBER + 7)
    reports = loader.Reports(bpf)
    reported = []
    for calls in (CALLS, 0, 5):
        call([key.number] * calls)
        report = reports.next()
        assert isinstance(report, dict), f"Reports.next() returned {type(report).__name__}, expected a dict"
        reported.append(report.get(key))
    for which, calls, seen in zip(("first", "second", "third"), (CALLS, None, 5), reported, strict=True):
        says, due = ("has no such key" if number is None else f"says {number}" for number in (seen, calls))
        assert seen == calls, (
            f"{calls or 'no'} new calls were made before the {which} report: it {says}, expected: it {due}"
        )


@pytest.mark.step(7)
def test_two_readers_see_every_call(loader, bpf):
    key = loader.SyscallKey(os.getpid(), FIRST_NUMBER + 11)
    one, other = loader.Reports(bpf), loader.Reports(bpf)
    call([key.number] * CALLS)
    for which, reports in (("first", one), ("second", other)):
        seen = reports.next().get(key, 0)
        assert seen == CALLS, f"{CALLS} calls were made, the {which} of two readers of the same map reports {seen}"


@pytest.mark.step(7)
def test_calls_that_come_while_a_report_is_made_are_in_the_next(loader):
    """A map in which five more calls are counted each time it is read."""
    key = SimpleNamespace(pid=1, number=2)
    made = 0

    def items():
        nonlocal made
        made += 5
        return [(key, SimpleNamespace(value=made))]

    table = SimpleNamespace(items_lookup_batch=items, items=items, clear=lambda: None)
    reports = loader.Reports({"counts": table})
    reported = sum(reports.next().get(loader.SyscallKey(1, 2), 0) for _ in range(CALLS))
    assert reported == made, f"{made} calls were counted while {CALLS} reports were made, {reported} are in the reports"
