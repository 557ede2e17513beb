"""Lesson 07: what a profiler that samples stacks has to do."""

import contextlib
import errno
import json
import math
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

HZ = 197
SLOW_HZ = 19
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")


class Program:
    """shares.c, alive until close()."""

    def __init__(self, *command):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"
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
    """Stop whatever clocks the loader started."""
    for kind, config in list(bpf.open_perf_events):
        bpf.detach_perf_event(kind, config)


@pytest.fixture
def clock(loader, bpf):
    """`clock(pid)`: samples of that process from now on, 0 for every process; the clock stops when the test ends."""

    def start(pid):
        bpf["counts"].clear()
        loader.choose(bpf, pid)
        loader.attach(bpf, HZ)

    yield start
    take_off(bpf)
    loader.choose(bpf, 0)


@pytest.fixture(scope="module")
def profile(loader, bpf, shares):
    """Every process sampled while three of our programs work, each in its way, and one sleeps."""
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
        pytest.fail(f"this machine counts no hardware events, and the clock did not start: {error}")
    eventually(lambda: ticks() >= 23, "23 runs of on_sample")
    take_off(bpf)
    # A clock ticks once in a period; where it could not, the tick is left out, never made up for.
    most = os.cpu_count() * (SLOW_HZ * (time.monotonic() - begin) + 1)
    ran = ticks()
    assert ran <= most, (
        f"at {SLOW_HZ} Hz on {os.cpu_count()} CPUs on_sample can have run {most:.0f} times; it ran {ran}"
    )


@pytest.mark.step(2)
@pytest.mark.parametrize("mode", ["work", "thread", "read"])
def test_no_more_is_counted_than_the_cpu_time_is_worth(profile, mode):
    expected = HZ * profile.cpu_ns[mode][2] / 1e9
    counted = number_of(profile.samples, profile.pids[mode])
    # Five standard deviations of a count. Far fewer are possible: a tick that comes late takes the place of the next.
    most = expected + 5 * math.sqrt(expected)
    due = f"{expected:.0f} samples were due for its CPU time"
    assert counted > 0, f"{due}, and there is none: on_sample counted it elsewhere, or wanted() wants nobody"
    assert counted <= most, f"{due}, {counted} were counted"


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
    assert all(counted.values()), f"samples of a process that computes, by the CPU that it is kept on: {counted}"


@pytest.mark.step(2)
def test_a_process_that_sleeps_has_no_samples(profile):
    assert number_of(profile.samples, profile.pids["work"]) > 0, "nothing was counted at all"
    asleep = number_of(profile.samples, profile.sleeper)
    assert asleep == 0


@pytest.mark.step(2)
def test_the_first_sample_of_a_stack_counts(profile):
    empty = sum(sample.count == 0 for sample in profile.samples)
    assert empty == 0, f"{empty} of {len(profile.samples)} entries of counts say that they were never seen"


@pytest.mark.step(2)
def test_a_sample_in_user_space_has_a_user_stack_only(profile):
    own = sum(s.count for s in of_mode(profile, "work") if s.user != -errno.EFAULT and s.kernel == -errno.EFAULT)
    total = number_of(profile.samples, profile.pids["work"])
    assert own > total / 2, f"of {total} samples of a program that computes, {own} are in user space"


@pytest.mark.step(2)
def test_a_sample_in_a_system_call_has_both_stacks(bpf, profile):
    both = [s for s in of_mode(profile, "read") if s.user >= 0 and s.kernel >= 0]
    assert both, "a program that reads and reads has no sample with a user stack and a kernel stack"
    user, kernel = (
        [next(bpf["stacks"].walk(number)) for number in numbers]
        for numbers in ([sample.user for sample in both], [sample.kernel for sample in both])
    )
    # The kernel has the upper half of all addresses on x86_64 and arm64.
    assert max(user) < 1 << 63, "`user` is the number of a stack in the kernel"
    assert min(kernel) >= 1 << 63, "`kernel` is the number of a stack in user space"


@pytest.mark.step(3)
def test_an_idle_cpu_is_not_counted(loader, bpf, clock, workload):
    child = workload(lambda: time.sleep(0.293))
    clock(0)
    child.run()
    take_off(bpf)
    idle = number_of(loader.samples(bpf), 0)
    assert idle == 0, f"{idle} samples of CPUs that had nothing to do (pid 0)"


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
    assert number_of(found, chosen.pid) > 0, "the chosen process worked, and has no sample"
    others = {sample.pid for sample in found} - {chosen.pid}
    assert not others, f"process {chosen.pid} was chosen; samples of {len(others)} others were counted: {others}"


@pytest.mark.step(5)
def test_functions_go_from_the_outermost_inwards(loader, bpf, profile):
    stacks = [
        loader.functions(bpf, sample.user, lambda address: bpf.sym(address, profile.pids["work"]))
        for sample in of_mode(profile, "work")
    ]
    chains = {
        tuple(name for name in names if name in ("main", "heavy", "burn")) for names in stacks if "heavy" in names
    }
    assert ("main", "heavy", "burn") in chains, f"main calls heavy, heavy calls burn; seen: {sorted(chains)}"


@pytest.mark.step(5)
def test_each_address_of_a_stack_is_named(loader, bpf, profile):
    number = next(sample.user for sample in of_mode(profile, "work") if sample.user >= 0)
    innermost_first = [f"{address:x}" for address in bpf["stacks"].walk(number)]
    named = loader.functions(bpf, number, lambda address: b"%x" % address)
    assert named == innermost_first[::-1]
    unknown = loader.functions(bpf, number, lambda address: b"[unknown]")
    assert len(unknown) == len(named), "a function without a name is one all the same"


@pytest.mark.step(5)
def test_zero_is_a_stack_too(loader):
    there = SimpleNamespace(walk=lambda number: iter([number + 23, number + 7]))
    named = loader.functions({"stacks": there}, 0, lambda address: b"%d" % address)
    assert named == ["7", "23"], "of stack 0"


@pytest.mark.step(5)
def test_a_name_is_one_frame_whatever_it_holds(loader, bpf, profile):
    number = next(sample.user for sample in of_mode(profile, "work") if sample.user >= 0)
    named = []
    with contextlib.suppress(UnicodeDecodeError):
        named = loader.functions(bpf, number, lambda address: b"operator;\xff")
    frames = [name for name in named if ";" not in name]
    assert len(frames) == len(list(bpf["stacks"].walk(number))), f"a name with a semicolon, no UTF-8, gave {named}"


@pytest.mark.step(5)
@pytest.mark.parametrize(("error", "shown"), [("EFAULT", []), ("EEXIST", ["[lost]"]), ("ENOMEM", ["[lost]"])])
def test_a_number_that_is_an_error_is_told(loader, bpf, error, shown):
    try:
        found = loader.functions(bpf, -getattr(errno, error), lambda address: b"a function")
    except KeyError:
        pytest.fail(f"-{error} was looked up as if it were the number of a stack")
    assert found == shown


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
    assert total > 0, "no folded line names heavy or light"
    share = heavy_ns / (heavy_ns + light_ns)
    # Five standard deviations of a share among `total` samples; a stack that was lost may have been heavy's or not.
    bound = 5 * math.sqrt(share * (1 - share) / total)
    least, most = seen["heavy"] / total, (seen["heavy"] + seen[loader.LOST]) / total
    assert least - bound <= share <= most + bound, (
        f"heavy took {share:.3f} of the time; of {total} samples it has {least:.3f} (bound {bound:.3f})"
    )


@pytest.mark.step(6)
def test_the_kernels_functions_follow_those_of_the_process(loader, bpf, clock, shares):
    program = shares("read", 307)
    clock(program.pid)
    program.start()
    program.result()
    take_off(bpf)
    read = "vfs_read" + loader.KERNEL
    lines = [line.split(";") for line in loader.folded(bpf)]
    inside = [frames for frames in lines if "main" in frames and read in frames]
    assert inside, f"main reads most of the time; no line has both main and {read}"
    for comm, *frames in inside:
        kinds = [frame.endswith(loader.KERNEL) for frame in frames]
        assert comm == "shares"
        assert kinds == sorted(kinds), f"a process's function stands behind one of the kernel's: {';'.join(frames)}"


@pytest.mark.step(6)
def test_lines_that_read_alike_are_added(loader, bpf, monkeypatch):
    alike = [loader.Sample(pid, "make", -errno.EFAULT, -errno.EFAULT, count) for pid, count in ((11, 5), (13, 18))]
    monkeypatch.setattr(loader, "samples", lambda bpf: alike)
    lines = loader.folded(bpf)
    assert lines == {"make": 23}, "two processes named make, 5 samples and 18, without a stack"


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
    assert lines == {"cc;main3": 3, "cc;main5": 5, "cc;[lost]": 2}, "one stack of two processes, and one that was lost"


@pytest.mark.step(6)
def test_no_sample_is_left_out(loader, bpf, profile, monkeypatch):
    monkeypatch.setattr(loader, "samples", lambda bpf: profile.samples)
    in_lines = sum(loader.folded(bpf).values())
    counted = sum(sample.count for sample in profile.samples)
    assert in_lines == counted


@pytest.mark.step(6)
def test_to_be_told_takes_nothing_away(loader, bpf, clock, shares):
    program = shares("work", 307)
    clock(program.pid)
    program.start()
    program.result()
    take_off(bpf)
    before = number_of(loader.samples(bpf), program.pid)
    loader.folded(bpf)
    assert number_of(loader.samples(bpf), program.pid) == before > 0, "samples after folded(), and before"


LINES = {"sh;main;operator new": 7, "sh;main": 11, "sh;main;operator new;main": 5}


@pytest.mark.step(7)
def test_speedscope_holds_each_line_by_the_numbers_of_its_frames(loader):
    file = json.loads(json.dumps(loader.speedscope(LINES, 99, "a title")))
    names = [frame["name"] for frame in file["shared"]["frames"]]
    (profile,) = file["profiles"]
    numbers = sorted({number for stack in profile["samples"] for number in stack})
    assert numbers == list(range(len(names))), "frames are numbered by their places in shared.frames, from 0"
    lines = [";".join(names[number] for number in stack) for stack in profile["samples"]]
    assert lines == list(LINES)
    assert sorted(names) == ["main", "operator new", "sh"], "each name stands in the file once"


@pytest.mark.step(7)
def test_speedscope_weighs_in_seconds(loader):
    (profile,) = loader.speedscope(LINES, 99, "a title")["profiles"]
    unit, weights = profile["unit"], profile["weights"]
    assert (unit, weights) == ("seconds", pytest.approx([7 / 99, 11 / 99, 5 / 99])), "7, 11 and 5 samples at 99 Hz"
    assert profile["endValue"] == pytest.approx(23 / 99)
