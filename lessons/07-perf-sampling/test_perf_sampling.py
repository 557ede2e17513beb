"""Lesson 07: what a profiler that samples stacks has to do."""

import contextlib
import errno
import json
import math
import os
import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bcc import BPF

HZ = 197
SLOW_HZ = 19
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")


class Program:
    """shares.c, alive until close()."""

    def __init__(self, *command):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n", f"{command[0].name} exited before it printed ready"
        self.pid = self._process.pid

    def start(self):
        """Let it work."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def result(self):
        """CPU time in nanoseconds, measured by itself: of heavy, of light, of the process."""
        return [int(number) for number in self._process.stdout.readline().split()]

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture(scope="module")
def shares(native):
    """`shares(mode, ms)` starts the program; it does not work yet."""
    path = native("shares.c")
    started = []

    def start(mode, ms):
        started.append(Program(path, mode, str(ms)))
        return started[-1]

    yield start
    for program in started:
        program.close()


def take_off(bpf):
    """Stop all clocks that the loader started."""
    for kind, config in list(bpf.open_perf_events):
        bpf.detach_perf_event(kind, config)


@pytest.fixture
def clock(loader, bpf):
    """`clock(pid)`: sample that process from now on, 0: every process; the clock stops when the test ends."""

    def start(pid):
        bpf["counts"].clear()
        loader.choose(bpf, pid)
        loader.attach(bpf, HZ)

    yield start
    take_off(bpf)
    loader.choose(bpf, 0)


@pytest.fixture(scope="module")
def profile(loader, bpf, shares):
    """A profile of every process, while three of our programs work in different ways and one sleeps."""
    working = {"work": shares("work", 1499), "thread": shares("thread", 499), "read": shares("read", 499)}
    sleeper = shares("work", 1)
    while state(sleeper.pid) != "S":
        time.sleep(0.01)
    bpf["counts"].clear()
    loader.attach(bpf, HZ)
    for program in working.values():
        program.start()
    cpu_ns = {mode: program.result() for mode, program in working.items()}
    take_off(bpf)
    return SimpleNamespace(
        samples=loader.samples(bpf),
        pids={mode: program.pid for mode, program in working.items()},
        cpu_ns=cpu_ns,
        sleeper=sleeper.pid,
    )


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def number_of(samples, pid):
    return sum(sample.count for sample in samples if sample.pid == pid)


def of_mode(profile, mode):
    """The samples of one of the three programs."""
    return [sample for sample in profile.samples if sample.pid == profile.pids[mode]]


@pytest.fixture
def ticks(loader, bpf):
    """How often the kernel has run on_sample, on all CPUs (Documentation/admin-guide/sysctl/kernel.rst)."""
    before = STATS.read_text()
    STATS.write_text("1")
    fdinfo = Path(f"/proc/self/fdinfo/{bpf.load_func('on_sample', bpf.PERF_EVENT).fd}")
    fields = lambda: dict(line.split(":", 1) for line in fdinfo.read_text().splitlines())  # noqa: E731
    begin = int(fields()["run_cnt"])
    yield lambda: int(fields()["run_cnt"]) - begin
    STATS.write_text(before)


@pytest.mark.step(1)
def test_the_clock_ticks_as_often_as_asked(loader, bpf, ticks, eventually):
    begin = time.monotonic()
    try:
        loader.attach(bpf, SLOW_HZ)
    except NotImplementedError:
        raise
    except Exception as error:
        pytest.fail(f"attach() did not start the clock on a machine without hardware counters: {error}")
    eventually(lambda: ticks() >= 23, "23 runs of on_sample")
    take_off(bpf)
    # A clock ticks once in a period; where it could not, the tick is left out, never made up for.
    most = math.floor(os.cpu_count() * (SLOW_HZ * (time.monotonic() - begin) + 1))
    ran = ticks()
    assert ran <= most, f"at {SLOW_HZ} Hz on {os.cpu_count()} CPUs on_sample can have run {most} times; it ran {ran}"


@pytest.mark.step(2)
@pytest.mark.parametrize("mode", ["work", "thread", "read"])
def test_no_more_is_counted_than_the_cpu_time_is_worth(profile, mode):
    expected = HZ * profile.cpu_ns[mode][2] / 1e9
    counted = number_of(profile.samples, profile.pids[mode])
    # Five standard deviations of a count. Far fewer are possible: a tick that comes late takes the place of the next.
    most = expected + 5 * math.sqrt(expected)
    due = f"about {expected:.0f} samples are expected for the CPU time of shares {mode}"
    assert counted > 0, f"{due}, 0 are counted: on_sample counts under another pid, or wanted() rejects every process"
    assert counted <= most, f"{due}, {counted} are counted"


@pytest.mark.step(2)
def test_every_cpu_is_sampled(loader, bpf, workload):
    def compute():
        while time.process_time() < 0.293:
            pass

    counted = {}
    for cpu in os.sched_getaffinity(0):
        child = workload(compute)
        os.sched_setaffinity(child.pid, {cpu})  # before any clock runs: no sample can be of another CPU
        loader.attach(bpf, HZ)
        pid = child.pid
        child.run()
        take_off(bpf)
        counted[cpu] = number_of(loader.samples(bpf), pid)
    without = [cpu for cpu, samples in counted.items() if not samples]
    if without:
        pytest.fail(f"a process computed on each of {len(counted)} CPUs in turn; on CPU {without[0]} it has 0 samples")


@pytest.mark.step(2)
def test_a_process_that_sleeps_has_no_samples(profile):
    working = number_of(profile.samples, profile.pids["work"])
    assert working > 0, "a process that computes has 0 samples: on_sample counted nothing"
    asleep = number_of(profile.samples, profile.sleeper)
    assert asleep == 0, f"a process that slept all the time has {asleep} samples, expected 0"


@pytest.mark.step(2)
def test_the_first_sample_of_a_stack_counts(profile):
    empty = sum(sample.count == 0 for sample in profile.samples)
    assert empty == 0, (
        f"{empty} of {len(profile.samples)} entries of counts are 0: each was made by a sample, so it is at least 1"
    )


@pytest.mark.step(2)
def test_a_sample_in_user_space_has_a_user_stack_only(profile):
    own = sum(s.count for s in of_mode(profile, "work") if s.user != -errno.EFAULT and s.kernel == -errno.EFAULT)
    swapped = sum(s.count for s in of_mode(profile, "work") if s.user == -errno.EFAULT and s.kernel != -errno.EFAULT)
    total, due = number_of(profile.samples, profile.pids["work"]), HZ * profile.cpu_ns["work"][2] / 1e9
    if own <= total / 2:
        pytest.fail(
            f"a program that computes has a user stack, no kernel stack: about {due:.0f} samples are expected, {total} "
            f"are counted, {max(0, due - total):.0f} are missing; {own} have a user stack alone, {swapped} a "
            "kernel stack alone"
        )


@pytest.mark.step(2)
def test_a_sample_in_a_system_call_has_both_stacks(bpf, profile):
    both = [s for s in of_mode(profile, "read") if s.user >= 0 and s.kernel >= 0]
    total = number_of(profile.samples, profile.pids["read"])
    assert both, (
        f"a program that reads all the time has {total} samples; 0 of them have a user stack and a kernel stack"
    )
    user, kernel = (
        [next(bpf["stacks"].walk(number)) for number in numbers]
        for numbers in ([sample.user for sample in both], [sample.kernel for sample in both])
    )
    # The kernel has the upper half of all addresses on x86_64 and arm64.
    wrong = sum(address >= 1 << 63 for address in user)
    assert wrong == 0, f"key.user is the number of a kernel stack in {wrong} of {len(user)} samples"
    wrong = sum(address < 1 << 63 for address in kernel)
    assert wrong == 0, f"key.kernel is the number of a user stack in {wrong} of {len(kernel)} samples"


@pytest.mark.step(2)
def test_a_sample_whose_stack_is_lost_counts(loader, bpf, shares):
    """With room for one stack, nearly every other finds its place taken."""
    text, found = re.subn(r"BPF_STACK_TRACE\(stacks, *\w+\)", "BPF_STACK_TRACE(stacks, 1)", loader.SOURCE.read_text())
    assert found == 1, f"{loader.SOURCE.name} declares stacks {found} times by BPF_STACK_TRACE, expected once"
    program = shares("read", 1009)
    small = BPF(text=text)
    try:
        loader.choose(small, program.pid)
        loader.attach(small, HZ)
        program.start()
        program.result()
        take_off(small)
        lost = sum(s.count for s in loader.samples(small) if -errno.EEXIST in (s.user, s.kernel))
    finally:
        small.cleanup()
    assert lost > 0, "with room for one stack, most samples have a stack that was not kept (-17, EEXIST); 0 are counted"


@pytest.mark.step(3)
def test_an_idle_cpu_is_not_counted(loader, bpf, clock, workload):
    child = workload(lambda: time.sleep(0.293))
    clock(0)
    child.run()
    take_off(bpf)
    idle = number_of(loader.samples(bpf), 0)
    assert idle == 0, f"{idle} samples of idle CPUs (pid 0) are counted, expected 0"


@pytest.mark.step(3)
def test_only_the_chosen_process_is_counted(loader, bpf, clock, shares):
    chosen, other = shares("work", 307), shares("work", 307)
    clock(chosen.pid)
    for program in (chosen, other):
        program.start()
    for program in (chosen, other):
        program.result()
    take_off(bpf)
    found = loader.samples(bpf)
    own = number_of(found, chosen.pid)
    assert own > 0, f"process {chosen.pid} was chosen, and it computed; 0 of its samples are counted"
    others = len({sample.pid for sample in found} - {chosen.pid})
    assert others == 0, f"process {chosen.pid} was chosen; samples of {others} other processes are counted"


@pytest.mark.step(5)
def test_functions_go_from_the_outermost_inwards(loader, bpf, profile):
    stacks = [
        loader.functions(bpf, sample.user, lambda address: bpf.sym(address, profile.pids["work"]))
        for sample in of_mode(profile, "work")
    ]
    chains = {
        tuple(name for name in names if name in ("main", "heavy", "burn")) for names in stacks if "heavy" in names
    }
    if ("main", "heavy", "burn") not in chains:
        pytest.fail(
            f"main calls heavy, heavy calls burn; functions() returned {sorted(chains) or 'no stack with heavy'}"
        )


@pytest.mark.step(5)
def test_each_address_of_a_stack_is_named(loader, bpf, profile):
    number = next(sample.user for sample in of_mode(profile, "work") if sample.user >= 0)
    innermost_first = [f"{address:x}" for address in bpf["stacks"].walk(number)]
    named = loader.functions(bpf, number, lambda address: b"%x" % address)
    if named != innermost_first[::-1]:
        pytest.fail(
            f"a stack has the addresses {' '.join(innermost_first)}, innermost first; "
            f"functions() must return them outermost first, and returned {' '.join(map(str, named)) or 'none'}"
        )
    unknown = len(loader.functions(bpf, number, lambda address: b"[unknown]"))
    assert unknown == len(named), (
        f"{len(named)} functions without a name are frames too; functions() returned {unknown}"
    )


@pytest.mark.step(5)
def test_zero_is_a_stack_too(loader):
    there = SimpleNamespace(walk=lambda number: iter([number + 23, number + 7]))
    named = loader.functions({"stacks": there}, 0, lambda address: b"%d" % address)
    if named != ["7", "23"]:
        pytest.fail(f"stack 0 has the functions 7 and 23; functions() returned {named}")


@pytest.mark.step(5)
def test_a_name_is_one_frame_whatever_it_holds(loader, bpf, profile):
    number = next(sample.user for sample in of_mode(profile, "work") if sample.user >= 0)
    named = []
    with contextlib.suppress(UnicodeDecodeError):
        named = loader.functions(bpf, number, lambda address: b"operator;\xff")
    frames = [name for name in named if ";" not in name]
    assert len(frames) == len(list(bpf["stacks"].walk(number))), (
        f"a name with a semicolon and a byte that is not UTF-8 is one frame; functions() returned {named}"
    )


@pytest.mark.step(5)
@pytest.mark.parametrize(("error", "shown"), [("EFAULT", []), ("EEXIST", ["[lost]"]), ("ENOMEM", ["[lost]"])])
def test_a_number_that_is_an_error_is_shown(loader, bpf, error, shown):
    try:
        found = loader.functions(bpf, -getattr(errno, error), lambda address: b"a function")
    except KeyError:
        pytest.fail(f"functions() looked up -{error} as if it were the number of a stack")
    if found != shown:
        pytest.fail(f"functions() returned {found} for -{error}; expected {shown}")


@pytest.mark.step(6)
def test_shares_agree_with_the_time_that_the_program_measured(loader, bpf, clock, shares):
    program = shares("work", 1499)
    clock(program.pid)
    program.start()
    heavy_ns, light_ns, _ = program.result()
    take_off(bpf)
    seen = {"heavy": 0, "light": 0, loader.LOST: 0}
    for line, count in loader.folded(bpf).items():
        for name in seen:
            seen[name] += count * (name in line.split(";"))
    total = sum(seen.values())
    assert total > 0, "shares calls heavy and light all the time; no line of folded() names either"
    share = heavy_ns / (heavy_ns + light_ns)
    # Five standard deviations of a share among `total` samples; a stack that was lost may have been heavy's or not.
    bound = 5 * math.sqrt(share * (1 - share) / total)
    least, most = seen["heavy"] / total, (seen["heavy"] + seen[loader.LOST]) / total
    assert least - bound <= share <= most + bound, (
        f"heavy took {share:.3f} of the time; it has {least:.3f} of {total} samples (± {bound:.3f} is chance)"
    )


@pytest.mark.step(6)
def test_the_kernels_functions_follow_those_of_the_process(loader, bpf, clock, shares):
    program = shares("read", 1009)
    clock(program.pid)
    program.start()
    program.result()
    take_off(bpf)
    read = "vfs_read" + loader.KERNEL
    lines = [line.split(";") for line in loader.folded(bpf)]
    inside = [frames for frames in lines if "main" in frames and read in frames]
    assert inside, f"main reads most of the time; no line of folded() has both main and {read}"
    for comm, *frames in inside:
        kinds = [frame.endswith(loader.KERNEL) for frame in frames]
        assert comm == "shares", f"a line of folded() begins with the comm, shares; this one with {comm!r}"
        if kinds != sorted(kinds):
            pytest.fail(f"the kernel's functions come after the process's; folded() has {';'.join(frames)}")


@pytest.mark.step(6)
def test_lines_that_read_alike_are_added(loader, bpf, monkeypatch):
    alike = [loader.Sample(pid, "make", -errno.EFAULT, -errno.EFAULT, count) for pid, count in ((11, 5), (13, 18))]
    monkeypatch.setattr(loader, "samples", lambda bpf: alike)
    lines = loader.folded(bpf)
    if lines != {"make": 23}:
        pytest.fail(
            f"two processes named make, 5 and 18 samples without a stack, are one line, make 23; folded() has {lines}"
        )


@pytest.mark.step(6)
def test_an_address_is_another_function_in_another_process(loader, bpf, monkeypatch):
    class OneStack:
        def __getitem__(self, name):
            return SimpleNamespace(walk=lambda number: iter([0x400000]))

        def sym(self, address, pid, **more):
            return b"main%d" % pid

        ksym = bpf.ksym

    found = [loader.Sample(pid, "cc", 7, -errno.EFAULT, pid) for pid in (3, 5)]
    found += [loader.Sample(11, "cc", -errno.EEXIST, -errno.EFAULT, 2)]
    monkeypatch.setattr(loader, "samples", lambda bpf: found)
    lines = loader.folded(OneStack())
    expected = {"cc;main3": 3, "cc;main5": 5, "cc;[lost]": 2}
    if lines != expected:
        pytest.fail(f"one address in two processes, and one lost stack, are {expected}; folded() returned {lines}")


@pytest.mark.step(6)
def test_no_sample_is_left_out(loader, bpf, profile, monkeypatch):
    monkeypatch.setattr(loader, "samples", lambda bpf: profile.samples)
    in_lines = sum(loader.folded(bpf).values())
    counted = sum(sample.count for sample in profile.samples)
    assert in_lines == counted, f"samples() has {counted} samples, the lines of folded() add up to {in_lines}"


@pytest.mark.step(6)
def test_folded_keeps_the_counts(loader, bpf, clock, shares):
    program = shares("work", 307)
    clock(program.pid)
    program.start()
    program.result()
    take_off(bpf)
    before = number_of(loader.samples(bpf), program.pid)
    loader.folded(bpf)
    after = number_of(loader.samples(bpf), program.pid)
    assert before > 0, "a process that computes has 0 samples"
    assert after == before, f"there were {before} samples before folded(), {after} after it"


LINES = {"sh;main;operator new": 7, "sh;main": 11, "sh;main;operator new;main": 5}


@pytest.mark.step(7)
def test_speedscope_holds_each_line_by_the_numbers_of_its_frames(loader):
    file = json.loads(json.dumps(loader.speedscope(LINES, 99, "a title")))
    names = [frame["name"] for frame in file["shared"]["frames"]]
    (profile,) = file["profiles"]
    numbers = sorted({number for stack in profile["samples"] for number in stack})
    if repr(numbers) != repr(list(range(len(names)))):  # 0.0 and False are not 0
        pytest.fail(
            f"shared.frames has {len(names)} frames, with the numbers 0 to {len(names) - 1}; samples has {numbers}"
        )
    lines = [";".join(names[number] for number in stack) for stack in profile["samples"]]
    if lines != list(LINES):
        pytest.fail(f"the stacks read by their numbers have to be {list(LINES)}; speedscope() gives {lines}")
    if sorted(names) != ["main", "operator new", "sh"]:
        pytest.fail(f"each of the 3 names is in shared.frames once; there are {len(names)}: {names}")


@pytest.mark.step(7)
def test_speedscope_weighs_in_seconds(loader):
    (profile,) = loader.speedscope(LINES, 99, "a title")["profiles"]
    unit, weights = profile["unit"], profile["weights"]
    if (unit, weights) != ("seconds", pytest.approx([7 / 99, 11 / 99, 5 / 99])):
        pytest.fail(
            f"7, 11 and 5 samples at 99 Hz weigh 7/99, 11/99 and 5/99 seconds; speedscope() gives {weights} {unit}"
        )
    end = profile["endValue"]
    assert end == pytest.approx(23 / 99), f"the weights add up to 23/99 s; endValue is {end}"
