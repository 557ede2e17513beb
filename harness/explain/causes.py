"""Which of the usual causes it is that a program runs and shows nothing: from what the kernel knew of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.explain import declared
from harness.explain.ctext import Place, Sources
from harness.protocol.facts import Activity, Arrived, Attachment, Layout, Map, Program, Script

Kind = Literal[
    "not-attached", "elsewhere", "never-hit", "filtered", "other-key", "not-opened", "not-read", "other-poll",
    "layout", "padding", "at-entry", "lost", "trace-pipe",
]  # fmt: skip
PROBES = (2, 5, 7, 17, 26, 29)
"""Program types that run at a probe: kprobe, tracepoint, perf event, raw tracepoint, tracing, LSM."""
PERF_EVENT = 7
PROG_ARRAY, PERF_OUTPUT, RING = 3, 4, 27
KEYED, ARRAYS, QUEUES = (1, 5, 9, 10, 11), (2, 6), (22, 23)
KEYS_SHOWN = 4
QUIET = 2
"""Different lines that a script may print and still have shown nothing: a heading, a zero."""
WRAPPER = re.compile(r"^(__(x64|arm64|ia32)_(compat_)?sys_|__se_sys_|__do_sys_|do_sys_|ksys_|sys_(enter_|exit_)?|do_)")
SYSTEM_CALL = re.compile(r"__(?:x64|arm64|ia32)_(?:compat_)?sys_|__se_sys_|__do_sys_|ksys_|sys_|syscalls:")
"""Begins the name of what a script calls itself."""
SUCCESSORS = {
    "open": ("openat", "openat2"), "creat": ("openat", "open"), "fork": ("clone", "clone3", "vfork"),
    "vfork": ("clone", "clone3", "fork"), "clone": ("clone3", "vfork"), "clone3": ("clone", "vfork"),
    "stat": ("newfstatat", "newstat", "statx"), "newstat": ("newfstatat", "statx"),
    "lstat": ("newfstatat", "newlstat", "statx"), "newlstat": ("newfstatat", "statx"),
    "fstat": ("newfstat", "newfstatat", "statx"), "nanosleep": ("clock_nanosleep",),
    "clock_nanosleep": ("nanosleep",), "select": ("pselect6", "poll", "ppoll"), "poll": ("ppoll",),
    "epoll_wait": ("epoll_pwait",), "wait4": ("waitid",), "waitpid": ("wait4", "waitid"), "waitid": ("wait4",),
    "exit": ("exit_group",), "access": ("faccessat", "faccessat2"), "faccessat": ("faccessat2", "access"),
    "unlink": ("unlinkat",), "unlinkat": ("unlink",), "rmdir": ("unlinkat",), "rename": ("renameat2", "renameat"),
    "renameat": ("renameat2", "rename"), "renameat2": ("rename", "renameat"), "mkdir": ("mkdirat",),
    "chmod": ("fchmodat", "fchmod"), "chown": ("fchownat", "fchown", "lchown"), "link": ("linkat",),
    "symlink": ("symlinkat",), "readlink": ("readlinkat",), "utime": ("utimensat",), "utimes": ("utimensat",),
    "send": ("sendto", "sendmsg"), "recv": ("recvfrom", "recvmsg"), "dup2": ("dup3",), "dup": ("fcntl",),
    "pipe": ("pipe2",), "accept": ("accept4",), "signal": ("rt_sigaction",), "time": ("clock_gettime",),
    "getdents": ("getdents64",), "inotify_init": ("inotify_init1",), "epoll_create": ("epoll_create1",),
    "eventfd": ("eventfd2",), "signalfd": ("signalfd4",),
}  # fmt: skip
"""System call → those that C libraries make in its place today (NOTES in man pages, section 2)."""
POLLS = ("perf_buffer_poll", "perf_buffer_consume", "ring_buffer_poll", "ring_buffer_consume")
OF_SETTING_UP = frozenset(
    {"bpf", "perf_event_open", "ioctl", "futex", "mmap", "brk", "openat", "read", "write", "close"}
)
"""System calls that BCC itself makes before it has attached, or while it waits."""
SET_ALL = "Set the whole key before its fields: struct key k = {}, or __builtin_memset(&k, 0, sizeof(k))."
COMPARE = "Look at its conditions: what they compare, and with what."
COMPUTED_S = 0.3
"""Seconds of processor time from which on a sampled script should have met itself: some 30 samples at 99 Hz."""
RING_EVENT_MIN = 16
"""Bytes that an event takes in a ring buffer at least."""
LOST_SHARE = 0.01
"""Of what was sent: BCC itself reports a smaller loss, which is no reason why nothing is seen."""


NO_TEXTS = Sources()
NOWHERE = Place(Path(), 0)
"""A line that is filled in where it is known."""


@dataclass(frozen=True)
class Cause:
    """Why nothing was seen."""

    kind: Kind
    text: str
    """One sentence: what the kernel says."""
    advice: str
    """One sentence: what to try."""
    place: Place | None = None
    swaps: tuple[tuple[Place, str, str], ...] = ()
    """What the advice means: a line, a text in it, and what takes its place."""

    def __str__(self) -> str:
        return f"{self.text} {self.advice}"


def cause(facts: Activity, sources: Sources = NO_TEXTS) -> Cause | None:
    """The cause; None where a program ran, wrote, and was read, or where the kernel counted nothing.

    Of a script from which something came, only what is wrong with that is looked at.
    """
    looks = LOOKS if is_silent(facts) else OF_WHAT_CAME
    return next((found for look in looks if (found := look(facts, sources)) is not None), None)


def is_silent(facts: Activity) -> bool:
    """Whether nothing is known to have come: always so of a test, which is asked about when it saw nothing."""
    return facts.script is None or facts.printed <= QUIET or not _came(facts)


def _came(facts: Activity) -> bool:
    """Whether anything came to the script: an event, a line of the trace, an entry of a map that it walked."""
    script = facts.script or Script()
    walked = {one.map for one in facts.asked if one.walked}
    looked_up = {one.map: set(one.looked_up) for one in facts.asked}
    reads_trace = any(one.what == "trace_readline" for one in script.calls) or any(r.own for r in facts.trace_readers)
    return (
        any(one.events for one in script.arrived)
        or any(one.entries for one in facts.maps if one.id in walked)
        or any(looked_up.get(one.id, set()) & _held(facts, one) for one in facts.maps)
        or any(one.type in QUEUES for one in facts.maps)
        or bool(facts.trace_lines and reads_trace)
        or not any(program.type in PROBES for program in facts.programs)
    )


def what_came(facts: Activity) -> str:
    """What is known of a script that seems to be right and shows little: what arrived, or what it waits for."""
    script = facts.script
    if script is None or facts.printed > QUIET:
        return ""
    came = [f"{_number(one.events, 'event')} of {one.table}" for one in script.arrived if one.events]
    walked = {one.map for one in facts.asked if one.walked}
    came += [f"{_number(one.entries, 'entry')} of {one.name}" for one in facts.maps if one.entries and one.id in walked]
    if came:
        text = f"{' and '.join(came)} arrived in Python. Nothing that is wrong was found"
        return f"{text}; what a filter in Python leaves out, the lab cannot see."
    idle = [one for one in facts.programs if not one.runs and _places(facts, one)]
    if idle and facts.counted and not any(one.runs for one in facts.programs):
        where = _where(_places(facts, idle[0]))
        return f"{idle[0].name} waits at {where}, which was not reached meanwhile. Nothing that is wrong was found."
    ran = [one for one in facts.programs if one.runs]
    if ran:
        return f"{_ran_often(ran[0])} and nothing arrived in Python. Nothing that is wrong was found."
    return ""


def _not_attached(facts: Activity, sources: Sources) -> Cause | None:
    if not facts.programs and _called(facts, "attach_"):
        if not _called(facts, "cleanup"):
            return None  # they were attached, and gone before anything was looked at
        text = "cleanup(), or the end of a `with`, detached and unloaded the programs before the script's end."
        place = _call_place(facts, sources, "cleanup")
        return Cause("not-attached", text, "Call it last, when all that is to be seen has happened.", place)
    if not facts.programs:
        text = "No BPF program is loaded in this process."
        advice = "Attach it: BCC loads a function then, and unloads it at cleanup() or at the end of a `with`."
        return Cause("not-attached", text, advice)
    if any(one.type == PROG_ARRAY for one in facts.maps):  # its programs are reached by tail calls
        return None
    attached = {found.program for found in facts.attachments}
    events = any(found.kind == "perf event" for found in facts.attachments)
    once = _called(facts, "attach_")
    for program in facts.programs:
        known = program.type in PROBES and not (program.type == PERF_EVENT and events)
        if known and program.id not in attached and not program.runs and program.name not in once:
            text = f"{program.name} is loaded and attached to nothing, so it never runs."
            advice = f'Attach it: bpf.attach_kprobe(event=…, fn_name=b"{program.name}") or a similar call.'
            return Cause("not-attached", text, advice, sources.c(sources.first_line(program.name)))
    return None


def _at_entry(facts: Activity, sources: Sources) -> Cause | None:
    """A result that is read where the function has not run yet."""
    for program in _ran(facts):
        places = _places(facts, program)
        if places and all(one.kind in ("kprobe", "uprobe") for one in places):
            line = sources.result_line(program.name)
            if line is not None:
                text = (
                    f"{program.name} is attached to the entry of {_where(places)} and reads the return value,"
                    " which is not there yet."
                )
                other = places[0].kind.replace("probe", "retprobe")
                advice = f'Attach it to the return: bpf.attach_{other}(…, fn_name=b"{program.name}").'
                at, old = _attach_place(facts, sources, program), f"attach_{places[0].kind}"
                swaps = ((at, old, f"attach_{other}"),) if at and _attaches(facts, program, old) else ()
                return Cause("at-entry", text, advice, sources.c(line), swaps)
    return None


def _layout(facts: Activity, sources: Sources) -> Cause | None:
    for one in _script(facts).layouts:
        name, text = _difference(one)
        if text:
            noun = {"event": f"an event of {one.table}", "key": f"a key of {one.table}"}.get(one.what, one.table)
            return Cause(
                "layout",
                f"Python reads {noun} by {one.reader}, which differs from the structure in C: {text}.",
                f'Make both the same, or let BCC do it: bpf["{one.table}"].event(data).'
                if one.what == "event"
                else f'Make both the same, or take BCC\'s own: bpf["{one.table}"].Key.',
                sources.field_place(one.reader, name),
            )
    return None


def _difference(one: Layout) -> tuple[str, str]:
    """The field that differs first, and how; two empty texts where the layouts agree as far as is known."""
    known = {part.name: part for part in one.read}
    for part in one.fields:
        there = known.get(part.name)
        if there is None:
            continue
        if there.size != part.size:
            return part.name, f"{part.name} has {_bytes(part.size)} in C and {_bytes(there.size)} in Python"
        if there.offset != part.offset:
            return part.name, f"{part.name} is at byte {part.offset} in C and at byte {there.offset} in Python"
    if one.fields and len(one.fields) == len(one.read):
        for part, there in zip(one.fields, one.read, strict=True):
            same = f" as {there.name}" if there.name else ""
            if part.offset != there.offset:
                text = f"{part.name} is at byte {part.offset} in C and read{same} at byte {there.offset} in Python"
                return there.name, text
            if part.size != there.size:
                text = f"{part.name} has {_bytes(part.size)} in C and is read{same} by {_bytes(there.size)} in Python"
                return there.name, text
    if one.read_size > -(-(one.size + 4) // 8) * 8 - 4 and one.read_size > one.size:
        return "", f"it has {_bytes(one.size)} in C and {_bytes(one.read_size)} in Python"
    return "", ""


def _padding(facts: Activity, sources: Sources) -> Cause | None:
    for one in facts.maps:
        if one.distinct is not None and one.distinct < one.entries:
            text = (
                f"The map {one.name} holds {one.entries} entries under {_number(one.distinct, 'key')}:"
                " the others differ in padding alone, bytes between the fields that are never set."
            )
            return _unset_key(text, sources, one.name)
        if one.unset:
            text = (
                f"In {one.unset} of the {_number(one.entries, 'key')} of {one.name} the padding between fields holds"
                " what was on the stack: it is never set, and one key can be spread over several entries."
            )
            return _unset_key(text, sources, one.name)
    return None


def _unset_key(text: str, sources: Sources, table: str) -> Cause:
    """The cause at the key's declaration, whose first `;` means a variable that is not set."""
    at = sources.c(sources.key_line(table))
    bare = at and re.search(r"\w\s*;", sources.own.splitlines()[at.line - 1])
    return Cause("padding", text, SET_ALL, at, ((at, ";", " = {};"),) if at and bare else ())


def _lost(facts: Activity, sources: Sources) -> Cause | None:
    for one in _script(facts).arrived:
        if one.full and (dropped := _dropped_by_ring(facts, one)):
            text = (
                f"The ring buffer {one.table} was full {_times(one.full)} when it was read:"
                f" {dropped}, {_number(one.events, 'event')} arrived. The kernel counts no losses of a ring."
            )
            advice = "Poll more often, do less in the callback, or give BPF_RINGBUF_OUTPUT more pages: a power of two."
            return Cause("lost", text, advice, _call_place(facts, sources, "open_ring_buffer", one.table))
        if one.lost > (one.events if one.own_lost else LOST_SHARE * (one.events + one.lost)):
            text = (
                f"{_number(one.lost, 'event')} of {one.table} {'was' if one.lost == 1 else 'were'} lost,"
                f" because the buffer was full; {one.events} arrived."
            )
            advice = (
                "Do less in the callback, send less from C,"
                f' or make the buffer larger: bpf["{one.table}"].open_perf_buffer(callback, page_cnt=256).'
            )
            return Cause("lost", text, advice, _call_place(facts, sources, "open_perf_buffer", one.table))
    return None


def _dropped_by_ring(facts: Activity, came: Arrived) -> str:
    """That a program ran more often than events of its ring arrived or wait there; empty where none did."""
    for one in facts.maps:
        writers = [program for program in _ran(facts) if one.id in program.maps]
        waiting = (one.written - one.read) // RING_EVENT_MIN
        if one.type == RING and one.name == came.table and len(writers) == 1:
            runs = writers[0].runs
            return _ran_often(writers[0]) if runs > came.events + waiting else ""
    return ""


def _never_hit(facts: Activity, sources: Sources) -> Cause | None:
    some_ran = any(program.runs for program in facts.programs)
    if not facts.counted or (facts.script is not None and some_ran and _came(facts)):
        return None
    idle = [
        (program, places)
        for program in facts.programs
        if not program.runs and program.type in PROBES and (places := _places(facts, program))
    ]
    for program, places in idle:
        found = _another_file(program, places) or _another_function(facts, program, places)
        if found is not None:
            place = _attach_place(facts, sources, program)
            swaps = tuple((place, old, new) for _, old, new in found.swaps) if place else ()
            return replace(found, place=place, swaps=swaps)
    for program, places in idle:
        if facts.script is not None and facts.script.ended and (late := _too_early(facts, program, places)) is not None:
            return replace(late, place=_attach_place(facts, sources, program))
    if facts.script is not None:
        calls = [one for one in idle if any(SYSTEM_CALL.match(place.target) for place in one[1])]
        idle = calls if _works(facts) else []  # its work does not show how a function inside the kernel is reached
    elif some_ran:
        idle = []
    if idle:
        program, places = idle[0]
        return replace(_nothing_hit(program, places), place=_attach_place(facts, sources, program))
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
    probed = {WRAPPER.sub("", place.target) for place in facts.attachments}
    for place in places:
        calls = facts.syscalls
        known = SUCCESSORS.get(WRAPPER.sub("", place.target), ())
        if probed.intersection(known):
            continue
        busy = next((name for name in known if calls.get(name)), None)
        if busy:
            text = (
                f"{program.name} is attached to {place.target}, which was not called once;"
                f" {busy} was called {_times(calls[busy])}."
            )
            advice = f'Attach it to {busy}: bpf.get_syscall_fnname(b"{busy}") names its function.'
            return Cause("elsewhere", text, advice, swaps=((NOWHERE, WRAPPER.sub("", place.target), busy),))
    return None


def _too_early(facts: Activity, program: Program, places: list[Attachment]) -> Cause | None:
    for place in places:
        name = WRAPPER.sub("", place.target)
        count = _script(facts).too_early.get(name, 0)
        if count and name not in OF_SETTING_UP:
            text = (
                f"The script called {name} {_times(count)} before {program.name} was attached, and not once after that."
            )
            return Cause("never-hit", text, "Attach first, then start what is to be seen.")
    return None


def _nothing_hit(program: Program, places: list[Attachment]) -> Cause:
    text = f"{program.name} is attached to {_where(places)}, which was never hit."
    return Cause("never-hit", text, "Is that what your workload calls? strace -f COMMAND shows what it does call.")


def _rival_reader(facts: Activity, sources: Sources) -> Cause | None:
    others = [reader for reader in facts.trace_readers if not reader.own]
    prints = [program for program in _ran(facts) if not _outputs(facts, program)]
    if not others or not prints:
        return None
    text = f"{others[0].comm} (pid {others[0].pid}) reads trace_pipe too, and a line goes to one reader alone."
    return Cause("trace-pipe", text, "End the other reader, or send events through a perf buffer of your own.")


def _not_read(facts: Activity, sources: Sources) -> Cause | None:
    for program in _ran(facts):
        for one in _outputs(facts, program):
            if one.type in (PERF_OUTPUT, RING):
                found = _not_opened(facts, sources, program, one) or _not_polled(facts, sources, program, one)
                if found is not None:
                    return found
    return None


def _not_opened(facts: Activity, sources: Sources, program: Program, one: Map) -> Cause | None:
    opening = "open_perf_buffer" if one.type == PERF_OUTPUT else "open_ring_buffer"
    if facts.script is not None and one.name in _called(facts, opening):
        return None
    if facts.script is None and (one.type == RING or facts.buffers.open):
        return None
    sent = one.type == PERF_OUTPUT or one.written
    if not sent or one.read:
        return None
    text = f"{_ran_often(program)}, but the buffer {one.name} was never opened, so what it sends goes nowhere."
    poll = "perf_buffer_poll" if one.type == PERF_OUTPUT else "ring_buffer_poll"
    place = next((found for name in POLLS if (found := _call_place(facts, sources, name)) is not None), None)
    place = place or sources.c(sources.first_line(program.name))
    return Cause("not-opened", text, f'Call bpf["{one.name}"].{opening}(callback), then bpf.{poll}() in a loop.', place)


def _not_polled(facts: Activity, sources: Sources, program: Program, one: Map) -> Cause | None:
    state = facts.buffers if one.type == PERF_OUTPUT else one
    script = _script(facts)
    if not state.written or state.read or any(each.events for each in script.arrived if each.table == one.name):
        return None
    kind, other = ("perf", "ring") if one.type == PERF_OUTPUT else ("ring", "perf")
    polls = {each.what: each for each in script.calls if each.what in POLLS}
    mine = [each for name, each in polls.items() if name.startswith(kind)]
    others = [each for name, each in polls.items() if name.startswith(other)]
    text = f"{_ran_often(program)} and wrote {state.written} bytes into {one.name}, and none was read"
    advice = f"Call bpf.{kind}_buffer_poll() in a loop, and once more after its end."
    opened = _call_place(facts, sources, f"open_{kind}_buffer", one.name)
    if not mine and others:
        text = f"{text}: {others[0].what} reads {other} buffers alone, and {one.name} is a {kind} buffer."
        at = sources.called(others[0].path, others[0].line)
        swaps = ((at, others[0].what, others[0].what.replace(other, kind, 1)),) if at else ()
        return Cause("other-poll", text, advice, at or opened, swaps)
    if mine and one.name in _called(facts, "wakeup_events"):
        advice = f"open_perf_buffer was given wakeup_events: call bpf.{kind}_buffer_consume() after the loop."
    elif mine:
        text = f"{text}: {mine[0].what} was last called before that"
    return Cause("not-read", f"{text}.", advice, opened)


def _under_another_key(facts: Activity, sources: Sources) -> Cause | None:
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


def _pointer_for_key(facts: Activity, sources: Sources) -> Cause | None:
    return pointer_for_key(sources)


def pointer_for_key(sources: Sources) -> Cause | None:
    """The address of a pointer where a map's key is due: it loads if the key has 8 bytes or fewer."""
    found = declared.pointer_key(sources.own)
    if found is None:
        return None
    line, call, name, table = found
    text = f"{call} is given &{name}, the address of a pointer: that becomes the key, not the {table.key}."
    at = sources.c(line)
    swaps = ((at, f"&{name}", name),) if at else ()
    return Cause("other-key", text, f"Leave out the &: {call}({name}, …).", at, swaps)


def _not_the_workload(facts: Activity, sources: Sources) -> Cause | None:
    """A map that is full of others: for tests, and for scripts that called what is probed themselves."""
    for program in _ran(facts):
        for one in _outputs(facts, program):
            if not facts.workload or not one.entries or one.holds_workload is not False:
                continue
            pids = ", ".join(map(str, facts.workload))
            holds = f"{_ran_often(program)} and the map {one.name} holds {_keys(_held(facts, one))}"
            if facts.script is None:
                text = f"{holds}, none of them with the workload's process id ({pids}) in it."
                return Cause("other-key", text, "Look at what the program takes for the key.")
            filters = sources.filters(program.name)
            if filters and sources.takes_pid(program.name) and _hits_itself(facts, program):
                text = (
                    f"{holds}, none of them with the script's own process id ({pids}) in it:"
                    f" the condition `{filters[0].text}` left it out."
                )
                return Cause("filtered", text, COMPARE, sources.c(filters[0].line))
    return None


def _filtered(facts: Activity, sources: Sources) -> Cause | None:
    """No program wrote: judged by buffers where there are any, as maps may only keep what is not over yet."""
    spoken = [(program, _outputs(facts, program)) for program in _ran(facts)]
    spoken = [one for one in spoken if any(o.type in (PERF_OUTPUT, RING) for o in one[1])] or spoken
    for _, outputs in spoken:
        if any(_written(facts, one) or sources.empties(one.name) for one in outputs) or (
            not outputs and facts.trace_lines != 0
        ):
            return None
    for program, outputs in spoken:
        if not outputs and program.type not in PROBES:
            continue
        filters = sources.filters(program.name)
        plain = next((one for one in filters if not one.is_threshold), None)
        if facts.script is not None and plain is None and not _works(facts):
            continue  # what is larger or slower than that may be rare, and the script only waits for it
        shown = plain or next(iter(filters), None)
        where = " and ".join(one.name for one in outputs) or "the trace"
        text = (
            f"{_ran_often(program)} and wrote 0 entries into {where}: it returned early each time, or its writes failed"
        )
        if shown is not None:
            text = f"{_ran_often(program)} and wrote 0 entries into {where}: the condition `{shown.text}` dropped all"
        return Cause(
            "filtered", f"{text}.", COMPARE, sources.c(shown.line if shown else sources.first_line(program.name))
        )
    return None


Look = Callable[[Activity, Sources], Cause | None]
LOOKS: tuple[Look, ...] = (
    _not_attached, _at_entry, _layout, _padding, _pointer_for_key, _lost, _never_hit, _rival_reader, _not_read,
    _under_another_key, _not_the_workload, _filtered,
)  # fmt: skip
OF_WHAT_CAME: tuple[Look, ...] = (_at_entry, _layout, _padding, _pointer_for_key, _lost)


def _script(facts: Activity) -> Script:
    return facts.script or Script()


def _ran(facts: Activity) -> Iterator[Program]:
    return (program for program in facts.programs if program.runs)


def _works(facts: Activity) -> bool:
    """Whether a script did more than wait once it had attached: it expects to see something."""
    script = _script(facts)
    return script.worked > 0 or any(_hits_itself(facts, one) for one in facts.programs)


def _hits_itself(facts: Activity, program: Program) -> bool:
    """Whether the script itself did what the program is attached to."""
    script = _script(facts)
    if program.type == PERF_EVENT:
        return script.computed_s >= COMPUTED_S
    names = {WRAPPER.sub("", place.target) for place in _places(facts, program)}
    return any(script.own_calls.get(name) for name in names - OF_SETTING_UP)


def _places(facts: Activity, program: Program) -> list[Attachment]:
    return [found for found in facts.attachments if found.program == program.id]


def _called(facts: Activity, what: str) -> set[str]:
    """The tables or functions for which a script called a function of that name, or of those with that beginning."""
    return {
        one.name for one in _script(facts).calls if one.what == what or (what[-1] == "_" and one.what.startswith(what))
    }


def _call_place(facts: Activity, sources: Sources, what: str, name: str | None = None) -> Place | None:
    for one in _script(facts).calls:
        if one.what == what and name in (None, one.name):
            return sources.called(one.path, one.line)
    return None


def _attaches(facts: Activity, program: Program, what: str) -> bool:
    """Whether the script itself called that function for the program: BCC attaches others by their names."""
    return any(one.what == what and one.name == program.name for one in _script(facts).calls)


def _attach_place(facts: Activity, sources: Sources, program: Program) -> Place | None:
    """The call that attached it; the program itself where BCC did that by its name."""
    for one in _script(facts).calls:
        if one.what.startswith("attach_") and one.name == program.name and "__" not in program.name:
            return sources.called(one.path, one.line)
    return sources.c(sources.first_line(program.name))


def _outputs(facts: Activity, program: Program) -> list[Map]:
    """The maps through which a program may speak: buffers if it has one, else maps that user space did not fill."""
    mine = [one for one in facts.maps if one.id in program.maps]
    buffers = [one for one in mine if one.type in (PERF_OUTPUT, RING)]
    filled = {one.map for one in facts.asked if one.written}
    return buffers or [one for one in mine if one.type in KEYED + ARRAYS + QUEUES and one.id not in filled]


def _written(facts: Activity, one: Map) -> bool:
    """Whether anything was written into a map; a queue does not say, nor does a map that the script empties."""
    if one.type == PERF_OUTPUT:
        return bool(facts.buffers.written)
    emptied = any(each.map == one.id and each.deleted for each in facts.asked)
    return one.type in QUEUES or emptied or bool(one.written if one.type == RING else one.entries)


def _held(facts: Activity, one: Map) -> set[int]:
    return set(one.keys)


def _where(places: list[Attachment]) -> str:
    return " and ".join(sorted({_place(place) for place in places}))


def _place(place: Attachment) -> str:
    return f"{place.target}+{place.offset:#x}" if place.offset else place.target or place.kind


def _keys(keys: set[int]) -> str:
    shown = ", ".join(map(str, sorted(keys)[:KEYS_SHOWN]))
    more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
    return f"the key{'s' if len(keys) > 1 else ''} {shown}{more}"


def _ran_often(program: Program) -> str:
    return f"{program.name} ran {_times(program.runs)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _number(number: int, noun: str) -> str:
    many = noun[:-1] + "ies" if noun.endswith("y") and not noun.endswith("ey") else noun + "s"
    return f"{number} {noun if number == 1 else many}"


def _bytes(number: int) -> str:
    return _number(number, "byte")
