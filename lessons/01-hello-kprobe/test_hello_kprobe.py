"""Lesson 01: what a kprobe that says hello does."""

import os
import threading

import pytest

from harness.guest.observing import kernel as this_kernel

CALLS = 23
HEADER = b"          python3-812     [001] ...21  1094.300131: bpf_trace_printk: "
OURS = HEADER + b"hello from pid=12 comm="


@pytest.fixture(scope="module", autouse=True)
def probes_of_others():
    """What was attached before the loader was imported."""
    return this_kernel.kprobes()


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program: once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def attached(loader, bpf):
    """hello_kprobe on getppid, for one test."""
    yield loader.attach(bpf, "getppid")
    take_off(bpf)


def take_off(bpf):
    """Detach whatever the loader attached."""
    for event in list(bpf.kprobe_fds):
        bpf.detach_kprobe_event(event)


def call_getppid():
    for _ in range(CALLS):
        os.getppid()


def lines_of(pid, lines):
    """The lines that our program printed for one process."""
    return [line for line in lines if b"hello from pid=%d " % pid in line]


@pytest.mark.step(1)
def test_nothing_is_attached_before_attach(probes_of_others, bpf, kernel):
    early = sorted(kernel.kprobes() - probes_of_others)
    found = len(early)
    assert found == 0, f"a probe was attached to {', '.join(early)} before attach() was called"


class OtherKernel:
    """A BPF object of a made-up kernel, which names its functions in its own way; it notes what is attached."""

    PREFIX = b"__other_machine_sys_"

    def __init__(self):
        self.attached = []

    def get_syscall_prefix(self):
        return self.PREFIX

    def get_syscall_fnname(self, name):
        assert isinstance(name, bytes), f"get_syscall_fnname() was given {name!r}, a {type(name).__name__}, not bytes"
        return self.PREFIX + name

    def attach_kprobe(self, event=b"", event_off=0, fn_name=b"", event_re=b""):
        assert not event_re, (
            f"attach_kprobe() was given event_re={event_re!r}, a pattern; expected one function, event="
        )
        self.attached.append(("kprobe", event, fn_name))

    def attach_kretprobe(self, event=b"", fn_name=b"", event_re=b"", maxactive=0):
        self.attached.append(("kretprobe", event or event_re, fn_name))


@pytest.mark.step(1)
def test_the_kernel_names_the_function(loader):
    kernel = OtherKernel()
    name, expected = loader.attach(kernel, "getppid"), b"__other_machine_sys_getppid"
    attached = len(kernel.attached)
    assert attached == 1, f"attach() attached {attached} probes, expected 1"
    [(kind, event, program)] = kernel.attached
    assert kind == "kprobe", "attach() attached a kretprobe, which runs at the return; expected a kprobe"
    assert event == expected, (
        f"attach() attached to {event!r}, expected {expected!r}: "
        "this test's made-up kernel has that name for getppid; each kernel has its own, ask bpf for it"
    )
    assert program == b"hello_kprobe", f"attach() attached the program {program!r}, expected b'hello_kprobe'"
    assert name == expected, f"attach() returned {name!r}, expected the function's name, {expected!r}"


@pytest.mark.step(1)
@pytest.mark.parametrize("syscall", ["openat", "execve"])
def test_the_probe_is_on_that_function(loader, bpf, kernel, syscall):
    before = kernel.kprobes()
    loader.attach(bpf, syscall)
    added = kernel.kprobes() - before
    take_off(bpf)
    function = bpf.get_syscall_fnname(syscall.encode()).decode()
    here = added.pop(function, 0)
    assert here == 1, f"attach(bpf, {syscall!r}) put {here} probes on {function}, expected 1"
    elsewhere = added.total()
    assert elsewhere == 0, f"attach(bpf, {syscall!r}) put {elsewhere} more probes on {', '.join(added)}, expected none"


@pytest.mark.step(2)
def test_each_call_prints_one_line(attached, workload, trace):
    child = workload(call_getppid)
    pid = child.pid
    child.run()
    printed = len(lines_of(pid, trace.lines()))
    assert printed == CALLS, f"{CALLS} calls of getppid by one process printed {printed} lines with its id"


@pytest.mark.step(2)
def test_a_thread_prints_the_process_id(attached, workload, trace):
    def in_a_thread():
        thread = threading.Thread(target=call_getppid)
        thread.start()
        thread.join()
        return thread.native_id

    child = workload(in_a_thread)
    pid = child.pid
    tid = child.run()
    lines = trace.lines()
    printed, with_tid = len(lines_of(pid, lines)), len(lines_of(tid, lines))
    assert printed == CALLS, (
        f"{CALLS} calls from a second thread printed {printed} lines with the process id, {with_tid} with the thread's"
    )


@pytest.mark.step(2)
def test_the_line_names_the_command(attached, workload, trace, rng):
    name = "".join(rng.choices("abcdefgh", k=11))

    def renamed():
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
        os.getppid()

    child = workload(renamed)
    pid = child.pid
    child.run()
    named = [line.rsplit(b"comm=")[-1].decode() for line in lines_of(pid, trace.lines())]
    found = len(named)
    assert found == 1, f"1 call of getppid by one process printed {found} lines with its id"
    assert named[0] == name, f"the command is called {name!r}, hello_kprobe printed comm={named[0]}"


def assert_parsed(loader, line, pid, comm):
    """parse() makes of `line` the Message with that process id and that name."""
    message = loader.parse(line)
    text = line.removeprefix(HEADER)
    assert message is not None, f"parse() returned None for the line {text!r}, expected a Message"
    assert isinstance(message, loader.Message), f"parse() returned {message!r} for the line {text!r}, not a Message"
    assert type(message.pid) is int, f"parse() gave the pid {message.pid!r} for the line {text!r}, expected an int"
    assert message.pid == pid, f"parse() gave the pid {message.pid} for the line {text!r}, expected {pid}"
    assert message.comm == comm, f"parse() gave the comm {message.comm!r} for the line {text!r}, expected {comm!r}"


@pytest.mark.step(3)
def test_parse_reads_pid_and_comm(loader, rng):
    pid = rng.randrange(1000, 4_000_000)
    assert_parsed(loader, HEADER + b"hello from pid=%d comm=my shell" % pid, pid, "my shell")


@pytest.mark.step(3)
@pytest.mark.parametrize("text", ["hello from afar", "pid=12 comm=bash", ""])
def test_parse_passes_over_other_lines(loader, text):
    message = loader.parse(HEADER + text.encode())
    assert message is None, f"parse() returned {message!r} for the line {text!r}, which is not ours; expected None"


@pytest.mark.step(3)
def test_a_name_may_hold_any_byte(loader):
    message, why = None, "is None"
    try:
        message = loader.parse(OURS + b"\xff\xfe")
    except UnicodeDecodeError as error:
        why = f"raised {error!r}"
    pid = getattr(message, "pid", None)
    assert pid == 12, f"the name of a command is not valid UTF-8, and parse() {why}; expected a Message with the pid 12"


@pytest.mark.step(3)
@pytest.mark.parametrize("name", [" my shell", "café", "", "a comm=b"])
def test_a_name_comes_as_it_is(loader, name):
    assert_parsed(loader, OURS + name.encode(), 12, name)


@pytest.mark.step(3)
def test_names_that_are_no_utf_8_stay_apart(loader):
    one, other = (loader.parse(OURS + name).comm for name in (b"\xff", b"\xff\xfe"))
    assert one != other, f"two commands have the names b'\\xff' and b'\\xff\\xfe'; parse() gave both the comm {one!r}"


@pytest.mark.step(4)
def test_messages_stops_at_the_end_and_not_before(loader):
    lines = [
        HEADER + b"hello from pid=1 comm=a",
        b"",
        HEADER + b"another program's line",
        HEADER + b"hello from pid=2 comm=b",
        HEADER + b"the end",
        HEADER + b"hello from pid=3 comm=c",
    ]
    pids = [message.pid for message in loader.messages(lines, b"the end")]
    late = pids.count(3)
    assert late == 0, "messages() read a message after the end line: pid 3 comes after it"
    early = 2 - len(pids)
    assert early == 0, (
        f"messages() gave {len(pids)} messages, expected 2 before the end line: "
        "neither an empty line nor another program's ends the output"
    )
    assert pids == [1, 2], f"messages() gave the pids {pids}, expected 1, then 2"


@pytest.mark.step(4)
@pytest.mark.parametrize("line", [HEADER + b"end [1] of all", OURS + b"my end [1]"], ids=["another line", "a message"])
def test_the_end_may_be_anywhere_in_a_line(loader, line):
    lines = [OURS + b"a", line, OURS + b"b"]
    names = [message.comm for message in loader.messages(lines, b"end [1]")]
    text = line.removeprefix(HEADER).decode()
    assert names[:1] == ["a"], f"messages() gave {len(names)} messages, expected the one before the end line, {text!r}"
    extra = len(names) - 1
    assert extra == 0, (
        f"messages() gave {extra} messages too many ({', '.join(names[1:])}): "
        f"the end is 'end [1]', and the line {text!r} contains it, whichever program printed that line"
    )


@pytest.mark.step(4)
def test_nothing_is_read_after_the_end(loader):
    read = []

    def lines():
        for line in (OURS + b"a", HEADER + b"the end", OURS + b"b"):
            read.append(line)
            yield line

    names = [message.comm for message in loader.messages(lines(), b"the end")]
    found = len(names)
    assert found == 1, f"messages() gave {found} messages, expected the one before the end line"
    found = len(read)
    assert found == 2, (
        f"messages() read {found} lines, the end was line 2: "
        "trace_pipe has no last line, so to read on after the end is to wait for ever"
    )


@pytest.mark.step(4)
def test_each_message_is_given_as_it_comes(loader):
    read = []

    def lines():
        for pid in (1, 2):
            read.append(pid)
            yield HEADER + b"hello from pid=%d comm=a" % pid

    first = next(iter(loader.messages(lines(), b"the end")))
    assert first.pid == 1, f"the first message that messages() gave has the pid {first.pid}, expected 1"
    found = len(read)
    assert found == 1, f"messages() read {found} lines before it gave the message of the first line"


@pytest.mark.step(4)
def test_messages_reads_the_kernel(loader, attached, workload, trace):
    child = workload(call_getppid)
    pid = child.pid
    child.run()
    lines = [*trace.lines(), b"the end"]
    ours = [message for message in loader.messages(lines, b"the end") if message.pid == pid]
    given = len(ours)
    assert given == CALLS, f"{CALLS} calls of getppid by one process: messages() gave {given} messages with its pid"


@pytest.mark.step(5)
def test_after_detach_nothing_is_printed(loader, bpf, kernel, workload, trace):
    before = kernel.kprobes()
    function = loader.attach(bpf, "getppid")
    loader.detach(bpf, function)
    closed = b"hello_kprobe" not in bpf.funcs
    assert not closed, "detach() closed the whole BPF object; expected it to detach hello_kprobe from one function"
    child = workload(call_getppid)
    pid = child.pid
    child.run()
    printed = len(lines_of(pid, trace.lines()))
    left = sorted(kernel.kprobes() - before)
    take_off(bpf)
    assert printed == 0, f"{CALLS} calls of getppid after detach() printed {printed} lines, expected none"
    found = len(left)
    assert found == 0, f"after detach() a probe is still on {', '.join(left)}"


@pytest.mark.step(5)
def test_detach_takes_off_that_function_alone(loader, bpf, kernel):
    before = kernel.kprobes()
    other = loader.attach(bpf, "getpgid")
    loader.detach(bpf, loader.attach(bpf, "getppid"))
    left = sorted(kernel.kprobes() - before)
    take_off(bpf)
    assert left == [other.decode()], (
        f"attached to getppid and getpgid, detached from getppid: the probe on getpgid is expected to stay, "
        f"seen are {', '.join(left) or 'none'}"
    )
