"""Which of the usual causes it is that a program runs and shows nothing: from what the kernel knew of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from harness.protocol.facts import Activity, Attachment, Map, Program

Kind = Literal[
    "not-attached", "elsewhere", "never-hit", "filtered", "other-key", "not-read", "trace-pipe"
]  # fmt: skip
PROBES = (2, 5, 7, 17, 26, 29)
"""Program types that run at a probe: kprobe, tracepoint, perf event, raw tracepoint, tracing, LSM."""
PERF_EVENT = 7
PROG_ARRAY, PERF_OUTPUT, RING = 3, 4, 27
KEYED, ARRAYS, QUEUES = (1, 5, 9, 10, 11), (2, 6), (22, 23)
"""Queues are stacks too; how full one is only its reader learns."""
KEYS_TOLD = 4
QUIET = 2
"""Different lines that a script may print and still have shown nothing: a heading, a zero."""
WRAPPER = re.compile(r"^(__(x64|arm64|ia32)_(compat_)?sys_|__se_sys_|__do_sys_|do_sys_|ksys_|sys_(enter_|exit_)?|do_)")
RELATIVES = (
    ("open", "openat", "openat2", "creat"),
    ("fork", "vfork", "clone", "clone3"),
    ("execve", "execveat"),
    ("stat", "newstat", "newfstat", "newlstat", "newfstatat", "statx"),
    ("nanosleep", "clock_nanosleep"),
    ("kill", "tkill", "tgkill"),
    ("select", "pselect6", "poll", "ppoll"),
    ("wait4", "waitid"),
    ("exit", "exit_group"),
    ("access", "faccessat", "faccessat2"),
    ("unlink", "unlinkat"),
    ("rename", "renameat", "renameat2"),
    ("mkdir", "mkdirat"),
    ("read", "pread64", "readv", "preadv"),
    ("write", "pwrite64", "writev", "pwritev"),
    ("send", "sendto", "sendmsg", "sendmmsg"),
    ("recv", "recvfrom", "recvmsg", "recvmmsg"),
    ("dup", "dup2", "dup3"),
    ("pipe", "pipe2"),
    ("accept", "accept4"),
    ("getpid", "getppid", "gettid"),
)
"""System calls that do nearly the same; C libraries moved from one to the other (NOTES in man pages, section 2)."""


@dataclass(frozen=True)
class Cause:
    """Why nothing was seen."""

    kind: Kind
    text: str
    """One sentence: what the kernel says."""
    advice: str
    """One sentence: what to try."""

    def __str__(self) -> str:
        return f"{self.text} {self.advice}"


def cause(facts: Activity) -> Cause | None:
    """The cause; None where a program ran, wrote, and was read, or where the kernel counted nothing."""
    return next((found for look in LOOKS if (found := look(facts)) is not None), None)


def _not_attached(facts: Activity) -> Cause | None:
    if not facts.programs:
        text = "No BPF program is loaded in this process."
        advice = "Attach it: BCC loads a function then, and unloads it at cleanup() or at the end of a `with`."
        return Cause("not-attached", text, advice)
    if any(one.type == PROG_ARRAY for one in facts.maps):  # its programs are reached by tail calls
        return None
    attached = {found.program for found in facts.attachments}
    events = any(found.kind == "perf event" for found in facts.attachments)
    for program in facts.programs:
        known = program.type in PROBES and not (program.type == PERF_EVENT and events)
        if known and program.id not in attached and not program.runs:
            text = f"{program.name} is loaded and attached to nothing, so it never runs."
            return Cause(
                "not-attached",
                text,
                f'Attach it: bpf.attach_kprobe(event=…, fn_name=b"{program.name}") or a similar call.',
            )
    return None


def _never_hit(facts: Activity) -> Cause | None:
    if not facts.counted:
        return None
    for program in facts.programs:
        places = [found for found in facts.attachments if found.program == program.id]
        if program.runs or not places or program.type not in PROBES:
            continue
        return (
            _another_file(program, places) or _another_function(facts, program, places) or _nobody_came(program, places)
        )
    return None


def _another_file(program: Program, places: list[Attachment]) -> Cause | None:
    for place in places:
        if place.users == 0 and place.elsewhere:
            other = place.elsewhere[0]
            text = (
                f"{program.name} is attached in {place.target}, which no process runs;"
                f" {other.comm} (pid {other.pid}) runs {other.file}."
            )
            return Cause("elsewhere", text, "Attach it to the file that the process maps: /proc/PID/maps names it.")
    return None


def _another_function(facts: Activity, program: Program, places: list[Attachment]) -> Cause | None:
    calls = facts.syscalls
    for place in places:
        name = WRAPPER.sub("", place.target)
        known = {other for family in RELATIVES if name in family for other in family} - {name}
        busy = sorted((other for other in known if calls.get(other)), key=lambda other: -calls[other])
        if busy:
            text = (
                f"{program.name} is attached to {place.target}, which was not called once;"
                f" {busy[0]} was called {_times(calls[busy[0]])}."
            )
            return Cause(
                "elsewhere", text, f'Attach it to {busy[0]}: bpf.get_syscall_fnname(b"{busy[0]}") names its function.'
            )
    return None


def _nobody_came(program: Program, places: list[Attachment]) -> Cause:
    where = " and ".join(sorted({_place(place) for place in places}))
    text = f"{program.name} is attached to {where}, which was not reached once."
    return Cause("never-hit", text, "Is that what your workload calls? strace -f COMMAND shows what it does call.")


def _rival_reader(facts: Activity) -> Cause | None:
    others = [reader for reader in facts.trace_readers if not reader.own]
    prints = [program for program in _ran(facts) if not _outputs(facts, program)]
    if not others or not prints:
        return None
    text = (
        f"{others[0].comm} (pid {others[0].pid}) reads trace_pipe too, and a line that one reader takes, no other sees."
    )
    return Cause("trace-pipe", text, "End the other reader, or send events through a perf buffer of your own.")


def _not_read(facts: Activity) -> Cause | None:
    for program in _ran(facts):
        for one in _outputs(facts, program):
            name = one.name
            if one.type == PERF_OUTPUT and not facts.buffers.open:
                text = f"{_ran_often(program)}, but nobody opened the buffer {name}, so what it sends is dropped."
                return Cause("not-read", text, f'Call bpf["{name}"].open_perf_buffer(callback), then poll.')
            state = facts.buffers if one.type == PERF_OUTPUT else one
            if one.type in (PERF_OUTPUT, RING) and state.written and not state.read:
                poll = "perf_buffer_poll" if one.type == PERF_OUTPUT else "ring_buffer_poll"
                text = f"{_ran_often(program)} and wrote {state.written} bytes into {name}, and none was read."
                return Cause("not-read", text, f"Call bpf.{poll}() in a loop, and once more after its end.")
    return None


def _under_another_key(facts: Activity) -> Cause | None:
    asked = {one.map: one for one in facts.asked}
    for program in _ran(facts):
        for one in _outputs(facts, program):
            call = asked.get(one.id)
            held = _held(facts, one)
            if call is None or call.walked or not held or not call.looked_up or held & set(call.looked_up):
                continue
            text = (
                f"{_ran_often(program)} and the map {one.name} holds {_keys(held)},"
                f" but your program looked up {_keys(set(call.looked_up))}."
            )
            return Cause("other-key", text, "Use one key on both sides; items() shows what is there.")
    return None


def _filtered(facts: Activity) -> Cause | None:
    """No program wrote: judged by buffers where there are any, as maps may only keep what is not over yet."""
    spoken = [(program, _outputs(facts, program)) for program in _ran(facts)]
    spoken = [one for one in spoken if any(o.type in (PERF_OUTPUT, RING) for o in one[1])] or spoken
    for _, outputs in spoken:
        if any(_written(facts, one) for one in outputs) or (not outputs and facts.trace_lines != 0):
            return None
    for program, outputs in spoken:
        where = " and ".join(one.name for one in outputs) or "the trace"
        text = f"{_ran_often(program)} and wrote 0 entries into {where}: each time it returned before it wrote."
        return Cause("filtered", text, "Look at its conditions: what they compare, and with what.")
    return None


def _not_the_workload(facts: Activity) -> Cause | None:
    """A map that is full of others: for tests, which know whose events they wait for."""
    for program in _ran(facts):
        for one in _outputs(facts, program):
            if facts.workload and one.entries and one.holds_workload is False:
                pids = ", ".join(map(str, facts.workload))
                text = (
                    f"{_ran_often(program)} and the map {one.name} holds {_keys(_held(facts, one))},"
                    f" none of them with the workload's process id ({pids}) in it."
                )
                return Cause("other-key", text, "Look at what the program takes for the key.")
    return None


LOOKS: tuple[Callable[[Activity], Cause | None], ...] = (
    _not_attached, _never_hit, _rival_reader, _not_read, _under_another_key, _not_the_workload, _filtered,
)  # fmt: skip


def _ran(facts: Activity) -> Iterator[Program]:
    return (program for program in facts.programs if program.runs)


def _outputs(facts: Activity, program: Program) -> list[Map]:
    """The maps through which a program may speak: buffers if it has one, else maps that user space did not fill."""
    mine = [one for one in facts.maps if one.id in program.maps]
    buffers = [one for one in mine if one.type in (PERF_OUTPUT, RING)]
    filled = {one.map for one in facts.asked if one.written}
    return buffers or [one for one in mine if one.type in KEYED + ARRAYS + QUEUES and one.id not in filled]


def _written(facts: Activity, one: Map) -> bool:
    if one.type == PERF_OUTPUT:
        return bool(facts.buffers.written)
    if one.type in QUEUES:
        return True
    return bool(one.written if one.type == RING else one.entries)


def _held(facts: Activity, one: Map) -> set[int]:
    return set(one.keys)


def _place(place: Attachment) -> str:
    return f"{place.target}+{place.offset:#x}" if place.offset else place.target or place.kind


def _keys(keys: set[int]) -> str:
    told = ", ".join(map(str, sorted(keys)[:KEYS_TOLD]))
    more = f" and {len(keys) - KEYS_TOLD} more" if len(keys) > KEYS_TOLD else ""
    return f"the key{'s' if len(keys) > 1 else ''} {told}{more}"


def _ran_often(program: Program) -> str:
    return f"{program.name} ran {_times(program.runs)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
