"""Lesson 05: what probes inside a user program have to see, and what they must not see."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

CALLS = 23
TEXT_MAX = 35
PYTHON = """
import sys
print("ready", flush=True)
for line in sys.stdin:
    for name in line.split():
        sys.audit(name)
    print("done", flush=True)
"""


class Program:
    """A program that says "ready", waits for a line, works, and prints."""

    def __init__(self, *argv):
        self._process = subprocess.Popen([*map(str, argv)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.expect("ready")

    def expect(self, word):
        assert self._process.stdout.readline() == word + "\n", f"the workload exited before it printed {word!r}"

    def tell(self, line=""):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def run(self):
        """Let it go; the lines that it prints, once it has ended."""
        printed, _ = self._process.communicate("\n")
        assert self._process.returncode == 0, f"the workload exited with status {self._process.returncode}"
        return printed.splitlines()

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def built(native):
    """The two programs beside this file, by name."""
    return {name: native(f"{name}.c") for name in ("calls", "search")}


@pytest.fixture
def program(built):
    """`program("calls", "atoi", "5")`: calls.c, started, waiting for `.run()`."""
    started = []

    def start(name, *arguments):
        started.append(Program(built[name], *arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture(scope="module")
def compiled(loader):
    """The program, compiled once for this file, and the list that its calls go to."""
    bpf, calls = loader.load(), []
    loader.listen(bpf, calls.append)
    yield bpf, calls
    bpf.cleanup()


@pytest.fixture
def bpf(compiled):
    """The program with nothing attached and no old calls."""
    bpf, calls = compiled
    yield bpf
    for event in list(bpf.uprobe_fds):
        bpf.detach_uprobe_event(event)
    for table in "inside", "depths":
        bpf[table].clear()
    bpf.perf_buffer_consume()
    calls.clear()


@pytest.fixture
def calls_of(bpf, compiled):
    """`calls_of(pid)`: the calls of a process that has ended."""

    def collect(pid):
        bpf.perf_buffer_consume()
        return [call for call in compiled[1] if call.pid == pid]

    return collect


def probes(bpf):
    """The kernel's own list of what this process probes: (kind, function in C, file, offset in the file)."""
    names = {}
    for name, program in bpf.funcs.items():
        (line,) = (ln for ln in Path(f"/proc/self/fdinfo/{program.fd}").read_text().splitlines() if "prog_id:" in ln)
        names[int(line.split()[1])] = name.decode()
    listed = json.loads(subprocess.run(["bpftool", "perf", "show", "-j"], capture_output=True, check=True).stdout)
    ours = [p for p in listed if p["pid"] == os.getpid()]
    return [(p["fd_type"], names.get(p["prog_id"], "?"), p["filename"], p["offset"]) for p in ours]


def in_words(found):
    """What probes() found, for people."""
    return ", ".join(f"{program} on a {kind}" for kind, program, *_ in sorted(found)) or "nothing"


def difference(seen, expected):
    """What is missing and what is too much, in words; empty if both hold the same."""
    seen, expected = Counter(seen), Counter(expected)
    rests = {"missing": expected - seen, "not expected": seen - expected}
    return "; ".join(f"{rest.total()} {what}, such as {min(rest)!r}" for what, rest in rests.items() if rest)


def inside(bpf, pid):
    """Names of the calls of thread `pid` that have not returned, outermost first."""
    ours = [(key.depth, entry.text.decode(errors="replace")) for key, entry in bpf["inside"].items() if key.tid == pid]
    return [text for _, text in sorted(ours)]


def inside_three_calls(loader, bpf, program):
    """A process that is inside three calls of bsearch, each made by the one before, and watched by both probes."""
    child = program("search", "inside")
    loader.attach(bpf, "c", "bsearch", child.pid)
    child.tell()
    child.expect("inside")
    return child


def names_of_all_lengths(rng):
    """Names that fit, that just fit, and that are too long for a text of TEXT_MAX bytes."""
    return ["".join(rng.choices("abcdefgh", k=length)) for length in (1, 16, 17, TEXT_MAX, TEXT_MAX + 1, 60)]


def measured(lines):
    """What search.c says of its calls: name -> (nanoseconds slept, nanoseconds around the call)."""
    return {name: (int(slept), int(around)) for name, slept, around in map(str.split, lines)}


def assert_within(calls, bounds):
    """Each call took at least what it slept and at most what its caller measured around it."""
    if wrong := difference((call.text for call in calls), list(bounds)):
        pytest.fail(
            f"bsearch was called {len(bounds)} times, {len(calls)} calls were reported; first arguments: {wrong}"
        )
    for call in calls:
        slept, around = bounds[call.text]
        if not slept <= call.latency_ns <= around:
            pytest.fail(
                f"bsearch({call.text!r}) slept {slept} ns and its caller measured {around} ns; "
                f"its latency_ns is {call.latency_ns}, expected between the two"
            )


@pytest.mark.step(1)
def test_both_probes_are_in_the_library_of_the_process(loader, bpf, program):
    child = program("calls", "atoi", "1")
    path = loader.attach(bpf, "c", "atoi", child.pid)
    found = probes(bpf)
    if sorted(kind for kind, *_ in found) != ["uprobe", "uretprobe"]:
        pytest.fail(f"attach() has to leave one uprobe and one uretprobe on atoi; the kernel lists {in_words(found)}")
    files = {file for *_, file, _ in found}
    if not all(os.path.samefile(file, path) for file in files):
        pytest.fail(f"attach() returned {path.decode()}; the kernel has the probes in {', '.join(sorted(files))}")
    offsets = sorted({offset for *_, offset in found})
    if len(offsets) != 1:
        pytest.fail(f"both probes belong on atoi; they are on {len(offsets)} functions: {in_words(found)}")


@pytest.mark.step(1)
def test_each_program_is_on_its_own_side(loader, bpf, program):
    loader.attach(bpf, "c", "atoi", program("calls", "atoi", "1").pid)
    found = probes(bpf)
    sides = {kind: name for kind, name, *_ in found}
    if sides != {"uprobe": "hello_uprobe", "uretprobe": "hello_uretprobe"}:
        pytest.fail(
            "hello_uprobe belongs on atoi's entry (a uprobe), hello_uretprobe on its return (a uretprobe); "
            f"the kernel lists {in_words(found)}"
        )


@pytest.mark.step(1)
def test_the_return_is_probed_first(loader, program):
    order = []
    bpf = SimpleNamespace(
        attach_uprobe=lambda *_, **named: order.append("entry"),
        attach_uretprobe=lambda *_, **named: order.append("return"),
    )
    loader.attach(bpf, "c", "atoi", program("calls", "atoi", "1").pid)
    if order != ["return", "entry"]:
        pytest.fail(
            f"attach() probed {' then '.join(order) or 'nothing'}; expected return then entry: "
            "a call that begins between the two must not be an entry without a return"
        )


@pytest.mark.step(1)
def test_that_function_alone_is_probed(loader, bpf, program):
    loader.attach(bpf, "c", "open", program("calls", "atoi", "1").pid)
    found = probes(bpf)
    if sorted(kind for kind, *_ in found) != ["uprobe", "uretprobe"]:
        pytest.fail(
            f"attach() to open left {len(found)} probes, expected 2: openat, opendir and openlog are other functions"
        )


@pytest.mark.step(1)
def test_only_that_process_is_seen(loader, bpf, program, calls_of):
    numbers = [str(n) for n in range(CALLS)]
    child, other = program("calls", "atoi", *numbers), program("calls", "atoi", *numbers)
    loader.attach(bpf, "c", "atoi", child.pid)
    other.run()
    child.run()
    seen, seen_of_other = len(calls_of(child.pid)), len(calls_of(other.pid))
    assert seen_of_other == 0, (
        f"{seen_of_other} calls of atoi in a process that was not named were reported, expected 0"
    )
    assert seen == CALLS, f"the process called atoi {CALLS} times, {seen} calls were reported"


@pytest.mark.step(1)
def test_a_function_of_the_program_itself_is_seen(loader, bpf, built, program, calls_of):
    child = program("calls", "weigh", *["name"] * CALLS)
    loader.attach(bpf, str(built["calls"]), "weigh", child.pid)
    child.run()
    seen = len(calls_of(child.pid))
    assert seen == CALLS, f"the process called its own function weigh {CALLS} times, {seen} calls were reported"


@pytest.mark.step(1)
@pytest.mark.parametrize(
    ("library", "function"), [("c", "no_such_function"), ("no_such_library", "atoi"), ("/no_such/file", "atoi")]
)
def test_what_is_missing_is_named(loader, bpf, program, library, function):
    child = program("calls", "atoi", "1")
    with pytest.raises(LookupError, match="no_such"):
        loader.attach(bpf, library, function, child.pid)
    left = len(probes(bpf))
    assert left == 0, f"attach() to {function} in {library} failed, as it should, and left {left} probes behind"


@pytest.mark.step(2)
@pytest.mark.parametrize("function", ["atoi", "weigh"])
def test_the_return_value_is_what_the_caller_got(loader, bpf, built, program, calls_of, rng, function):
    numbers = [str(rng.randrange(-(10 ** rng.randint(1, 9)), 10**9)) for _ in range(CALLS)]
    child = program("calls", function, *numbers)
    library = "c" if function == "atoi" else str(built["calls"])
    loader.attach(bpf, library, function, child.pid)
    got = [int(line) for line in child.run()]
    returned = [call.returned for call in calls_of(child.pid)]
    if wrong := difference(returned, got):
        pytest.fail(f"what {function} returned to its caller, and call.returned, differ for {CALLS} calls: {wrong}")


@pytest.mark.step(4)
def test_calls_that_have_not_returned_are_remembered(loader, bpf, program):
    child = inside_three_calls(loader, bpf, program)
    remembered = inside(bpf, child.pid)
    if remembered != ["deep", "deeper", "deepest"]:
        pytest.fail(
            "the thread is inside bsearch three times: deep, deeper, deepest; "
            f"`inside` holds {len(remembered)} of its calls: {', '.join(remembered) or 'none'}"
        )


@pytest.mark.step(4)
def test_each_entry_has_its_place_and_its_time(loader, bpf, program):
    before = time.monotonic_ns()
    child = inside_three_calls(loader, bpf, program)
    after = time.monotonic_ns()
    ours = sorted((key.depth, entry.time_ns) for key, entry in bpf["inside"].items() if key.tid == child.pid)
    depths = [depth for depth, _ in ours]
    if depths != [1, 2, 3]:
        pytest.fail(f"three calls of bsearch, each inside the one before, have depths 1, 2, 3; `inside` has {depths}")
    for depth, time_ns in ours:
        if not before <= time_ns <= after:
            pytest.fail(
                f"the call at depth {depth} began {before} to {after} ns after boot; its entry.time_ns is {time_ns}"
            )
    times = [time_ns for _, time_ns in ours]
    if times != sorted(times):
        pytest.fail(f"an inner call begins after the one around it; the time_ns of depths 1, 2, 3 are {times}")


@pytest.mark.step(5)
def test_calls_that_have_returned_are_forgotten(loader, bpf, program):
    child = inside_three_calls(loader, bpf, program)
    child.run()
    remembered = inside(bpf, child.pid)
    depths = [depth.value for tid, depth in bpf["depths"].items() if tid.value == child.pid]
    left = len(remembered)
    assert left == 0, f"three calls of bsearch have returned; {left} of them are still in `inside`"
    left = len(depths)
    assert left == 0, f"the thread has returned from every call; `depths` still holds it, with depth {depths[0]}"


@pytest.mark.step(5)
def test_a_call_within_a_call_has_its_own_latency(loader, bpf, program, calls_of):
    child = program("search", "recursion")
    loader.attach(bpf, "c", "bsearch", child.pid)
    bounds = measured(child.run())
    assert_within(calls_of(child.pid), bounds)


@pytest.mark.step(5)
def test_each_call_has_its_first_argument(loader, bpf, built, program, calls_of, rng):
    names = names_of_all_lengths(rng)
    child = program("calls", "weigh", *names)
    loader.attach(bpf, str(built["calls"]), "weigh", child.pid)
    child.run()
    texts = [call.text for call in calls_of(child.pid)]
    if wrong := difference(texts, (name[:TEXT_MAX] for name in names)):
        pytest.fail(f"call.text has to be weigh's first argument, cut after {TEXT_MAX} bytes: {wrong}")


@pytest.mark.step(5)
def test_two_threads_have_their_own_latencies(loader, bpf, program, calls_of):
    child = program("search", "threads")
    loader.attach(bpf, "c", "bsearch", child.pid)
    bounds = measured(child.run())
    assert_within(calls_of(child.pid), bounds)


@pytest.mark.step(5)
def test_a_long_call_has_its_whole_latency(loader, bpf, program, calls_of):
    child = inside_three_calls(loader, bpf, program)
    table, earlier = bpf["inside"], 5_000_000_000
    for place, entry in list(table.items()):
        entry.time_ns -= earlier  # as if it had begun 5 s before: that is more than 32 bits hold
        table[place] = entry
    bounds = {name: (slept + earlier, around + earlier) for name, (slept, around) in measured(child.run()).items()}
    assert_within(calls_of(child.pid), bounds)


@pytest.mark.step(5)
def test_a_return_without_an_entry_has_no_latency_and_no_text(loader, bpf, built, program, calls_of):
    child = program("calls", "weigh", *["name"] * CALLS)
    path = loader.find(str(built["calls"]), "weigh", child.pid)
    bpf.attach_uretprobe(name=path, sym=b"weigh", fn_name=b"hello_uretprobe", pid=child.pid)
    child.run()
    known = [(call.latency_ns, call.text) for call in calls_of(child.pid)]
    if wrong := difference(known, [(0, "")] * CALLS):
        pytest.fail(f"no probe saw the {CALLS} entries of weigh, so latency_ns is 0 and text empty: {wrong}")


def raw_audits(bpf):
    """Keep the bytes of each event from now on, in `.raw` of the table `audits`."""
    table = bpf["audits"]
    event, table.raw = table.event, []

    def kept(data):
        found = event(data)
        table.raw.append(bytes(found))
        return found

    table.event = kept


@pytest.fixture(scope="module")
def audited(loader, tmp_path_factory):
    """Two processes of another Python than ours, one of them probed; compiled once: the context is of one process."""
    python = shutil.copy(os.readlink("/proc/self/exe"), tmp_path_factory.mktemp("other"))
    with closing(Program(python, "-c", PYTHON)) as child, closing(Program(python, "-c", PYTHON)) as other:
        bpf, context = loader.load_audit(child.pid)
        events = []
        raw_audits(bpf)
        loader.listen_audit(bpf, events.append)
        yield bpf, events, child, other
        bpf.cleanup()
        del context


@pytest.fixture
def audit(audited, rng):
    """`audit()`: both processes raise CALLS audit events; those of the other, those of the probed one, its names."""
    bpf, events, child, other = audited

    def make():
        names = {each: [f"lab.{rng.randrange(10**9)}" for _ in range(CALLS)] for each in (other, child)}
        events.clear()
        for each in (other, child):
            each.tell(" ".join(names[each]))
            each.expect("done")
        bpf.perf_buffer_consume()
        return [e for e in events if e.pid == other.pid], [e for e in events if e.pid == child.pid], names[child]

    return make


@pytest.mark.step(6)
def test_each_audit_event_of_that_process_is_seen(audit):
    of_other, of_child, _ = audit()
    seen = len(of_child)
    assert seen == CALLS, f"the probed Python raised {CALLS} audit events, hello_audit reported {seen}"
    seen_of_other = len(of_other)
    assert seen_of_other == 0, f"{seen_of_other} events of a Python that was not named were reported, expected 0"


@pytest.mark.step(7)
def test_the_audit_events_have_their_names(audit):
    _, of_child, names = audit()
    if wrong := difference((event.name for event in of_child), names):
        pytest.fail(f"audit.name has to be the name of each of the {CALLS} audit events: {wrong}")


@pytest.mark.step(7)
def test_a_name_is_cut_where_its_field_ends(audited, rng):
    bpf, events, child, _ = audited
    names = names_of_all_lengths(rng)
    events.clear()
    child.tell(" ".join(names))
    child.expect("done")
    bpf.perf_buffer_consume()
    seen = [event.name for event in events if event.pid == child.pid]
    if wrong := difference(seen, (name[:TEXT_MAX] for name in names)):
        pytest.fail(f"audit.name has to be the event's name, cut after {TEXT_MAX} bytes: {wrong}")


@pytest.mark.step(7)
def test_nothing_after_a_name_comes_along(audited, audit):
    audit()
    texts = [raw[4:].split(b"\0", 1) for raw in audited[0]["audits"].raw]
    unclean = sum(any(b"".join(behind)) for _, *behind in texts)
    assert unclean == 0, (
        f"audit.name must hold only zeros after the name; it does not in {unclean} of {len(texts)} events"
    )
