"""What the kernel knows of programs from which nothing comes: where attached, how often run, what written and read."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.guest.observing import objects
from harness.guest.observing.objects import PROC
from harness.protocol.facts import Activity, Asked, Attachment, Buffers, Map, OtherFile, Reader, Script

TRACING = Path("/sys/kernel/tracing")
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
INSTANCE = TRACING / "instances/workbook"
"""A trace of our own: no one else reads what is written here."""
EVENTS = TRACING / "dynamic_events"
LOOKUP = "workbook/lookup"
BPF_CALL = {"x86_64": ("__x64_sys_bpf", 112, 104), "aarch64": ("__arm64_sys_bpf", 0, 8)}
"""What enters bpf(2), and where the caller's registers (struct pt_regs) have its first and second argument."""
KEYED = (1, 5, 9, 10, 11)
"""Map types with keys of the program's choice: hashes, per-CPU and LRU too, tries (include/uapi/linux/bpf.h)."""
ARRAYS = (2, 6)
PERF_OUTPUT, RING = 4, 27
KEYS_MAX = 1000
KEYS_TOLD = 8
PAGE = mmap.PAGESIZE
DATA_HEAD = 1024
"""Where struct perf_event_mmap_page has data_head, and behind it data_tail."""
ASKED = re.compile(r"-(\d+)\s+\[.* lookup: \(.*\) cmd=(\d+) fd=(\d+) key=0x([0-9a-f]+)")
HIST = "hist:keys=common_pid,id.syscall:size=16384"
COUNTS = INSTANCE / "events/raw_syscalls/sys_enter/hist"
COUNTED = re.compile(r"\{ common_pid:\s+(\d+), id: (?:sys_)?(\S+)\s+\[\s*\d+\] \} hitcount:\s+(\d+)")
NEUTRAL = frozenset((
    "access", "alarm", "bpf", "brk", "clock_nanosleep", "clone", "clone3", "close", "dup", "dup2", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "epoll_wait", "exit", "exit_group", "faccessat2", "fcntl", "fstat", "fsync",
    "ftruncate", "futex", "getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid", "getpid", "getrandom",
    "getrusage", "gettid", "getuid", "ioctl", "kill", "lseek", "madvise", "mmap", "mprotect", "mremap", "munmap",
    "nanosleep", "newfstat", "newfstatat", "newlstat", "newstat", "newuname", "openat", "perf_event_open", "poll",
    "ppoll", "pread64", "prlimit64", "pselect6", "pwrite64", "read", "readlink", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield", "select", "set_robust_list",
    "setitimer", "statfs", "sysinfo", "tgkill", "timer_create", "timer_settime", "times", "uname", "wait4", "write",
))  # fmt: skip
"""System calls by which a script waits, prints, imports and asks BCC: no work that a program of its own should see."""
LOOKUP_ELEM, UPDATE_ELEM, DELETING = 1, 2, (3, 21, 25, 27)
"""enum bpf_cmd."""
LIBRARY = re.compile(r"\.so\b.*")


def of_process(
    pid: int,
    runs_before: dict[int, int] | None = None,
    workload: frozenset[int] = frozenset(),
    used: Mapping[int, list[int]] | None = None,
) -> Activity:
    """All that the kernel tells of `pid`'s programs now; runs are those since `runs_before`.

    `used`: for maps with keys that have padding, the bytes of the key that belong to a field.
    """
    before = runs_before or {}
    programs = objects.programs(pid)
    maps = objects.maps({number for program in programs for number in program.maps})
    return Activity(
        counted=STATS.read_text().strip() == "1" if STATS.exists() else False,
        programs=tuple(replace(p, runs=p.runs - before.get(p.id, 0)) for p in programs),
        attachments=tuple(objects.attachments(pid)),
        maps=tuple(with_contents(one, workload, (used or {}).get(one.id, [])) for one in maps),
        workload=tuple(sorted(workload)),
        buffers=perf_buffers(pid),
        trace_readers=tuple(
            Reader(pid=reader, comm=comm(reader), own=reader == pid or is_below(reader, pid))
            for reader in trace_readers()
        ),
    )


def observable() -> bool:
    """Whether an Observer can count system calls: by hist triggers (CONFIG_HIST_TRIGGERS; Debian's 5.10 lacks it)."""
    return (TRACING / "events/raw_syscalls/sys_enter/hist").exists()


class Observer:
    """Watches what a process asks of maps and what the machine calls, from here on; one at a time."""

    def __enter__(self) -> Self:
        self._stats_before = STATS.read_text()
        STATS.write_text("1")
        INSTANCE.mkdir(exist_ok=True)
        _write(EVENTS, lookup_event(os.uname().machine))
        self._set(f"events/{LOOKUP}/enable", "1")
        self._set("events/raw_syscalls/sys_enter/trigger", HIST)
        self._lines = lines_written()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set("events/raw_syscalls/sys_enter/trigger", f"!{HIST}")
        self._set(f"events/{LOOKUP}/enable", "0")
        INSTANCE.rmdir()
        _write(EVENTS, f"-:{LOOKUP}")
        STATS.write_text(self._stats_before)

    def facts(self, pid: int, record: Mapping[str, Any], before: str = "") -> Activity:
        """What of_process says, and the calls of maps, the system calls, the lines of the trace since the beginning.

        `record` is what the script's own process has noted; `before` are the counts of system calls at its last attach.
        """
        asked = self._asked(pid)  # first: what follows asks maps itself
        tables = record.get("tables", {})
        found = of_process(
            pid, workload=frozenset({pid}), used={int(number): one["used"] for number, one in tables.items()}
        )
        names = record.get("names", {})
        attachments = (users(one, pid) if one.kind.startswith("u") else one for one in found.attachments)
        earlier = _calls(before)
        calls = _calls(self._get("events/raw_syscalls/sys_enter/hist"))
        calls.subtract(earlier)
        own = set(os.listdir(PROC / str(pid) / "task"))
        of_own = {name: count for name, count in _by_name(calls, own).items() if count > 0}
        script = Script(
            own_calls=of_own,
            too_early=_by_name(earlier, own),
            worked=sum(count for name, count in of_own.items() if name not in NEUTRAL) + record.get("opened", 0),
            computed_s=max(0.0, objects.used_s(pid) - record.get("attached_s", 0.0)),
        )
        return replace(
            found,
            programs=tuple(replace(one, name=names.get(str(one.id), one.name)) for one in found.programs),
            maps=tuple(replace(one, name=tables.get(str(one.id), {}).get("name", one.name)) for one in found.maps),
            attachments=tuple(attachments),
            asked=asked,
            syscalls={name: count for name, count in _by_name(calls).items() if count > 0},
            trace_lines=lines_written() - self._lines,
            script=script,
        )

    def _asked(self, pid: int) -> tuple[Asked, ...]:
        """For each map that the process's own code called: keys looked up, keys written, whether it walked the keys."""
        threads = set(os.listdir(PROC / str(pid) / "task"))
        found: dict[int, Asked] = {}
        for thread, command, fd, key in ASKED.findall(self._get("trace")):
            info = objects.fdinfo(pid, int(fd)) if thread in threads else {}
            if "map_id" not in info:
                continue
            number, bits = int(info["map_id"]), 8 * min(8, int(info["key_size"]))
            one = found.get(number, Asked(map=number))
            value = int(key, 16) & ((1 << bits) - 1)
            if int(command) == LOOKUP_ELEM:
                found[number] = replace(one, looked_up=_with(one.looked_up, value))
            elif int(command) == UPDATE_ELEM:
                found[number] = replace(one, written=_with(one.written, value))
            else:
                found[number] = replace(one, walked=True, deleted=one.deleted or int(command) in DELETING)
        return tuple(found.values())

    def _set(self, name: str, text: str) -> None:
        _write(INSTANCE / name, text)

    def _get(self, name: str) -> str:
        return (INSTANCE / name).read_text(errors="replace")


def lookup_event(machine: str) -> str:
    """An event for each bpf(2): the command, the map, the key's first bytes (Documentation/trace/kprobetrace.rst).

    A kprobe: an event on the call's tracepoint needs Linux 5.15.
    """
    function, command, attr = BPF_CALL[machine]
    attr_at = f"+{attr}($arg1)"
    return f"p:{LOOKUP} {function} cmd=+{command}($arg1):u32 fd=+u0({attr_at}):u32 key=+u0(+u8({attr_at})):x64"


def _calls(hist: str) -> Counter[tuple[str, str]]:
    """Thread and system call → how often, from the kernel's own counts."""
    return Counter({(thread, name): int(count) for thread, name, count in COUNTED.findall(hist)})


def _by_name(calls: Counter[tuple[str, str]], threads: set[str] | None = None) -> Counter[str]:
    """System call → how often, by those threads alone if any are named."""
    found: Counter[str] = Counter()
    for (thread, name), count in calls.items():
        if threads is None or thread in threads:
            found[name] += count
    return found


def _write(path: Path, text: str) -> None:
    """Write to one of tracefs's files, which O_TRUNC would empty and which cannot be sought in."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode() + b"\n")
    finally:
        os.close(fd)


def _with(seen: tuple[int, ...], value: int) -> tuple[int, ...]:
    """`seen` with `value` in it, up to KEYS_MAX of them."""
    return seen if value in seen or len(seen) >= KEYS_MAX else tuple(sorted((*seen, value)))


def with_contents(one: Map, workload: frozenset[int] = frozenset(), used: Sequence[int] = ()) -> Map:
    """The map with what is in it: entries, the first 8 bytes of some keys; for a ring what was written and read."""
    library = objects._library()
    fd = library.bpf_map_get_fd_by_id(one.id)
    if fd < 0:
        return one
    try:
        if one.type == RING:
            read, written = ring(fd)
            return replace(one, read=read, written=written)
        if one.type in KEYED + ARRAYS:
            held = list(keys(fd, one) if one.type in KEYED else slots(fd, one))
            return replace(
                one,
                entries=len(held),
                distinct=len({bytes(key[at] for at in used) for key in held}) if used else None,
                unset=sum(any(byte for at, byte in enumerate(key) if at not in used) for key in held) if used else 0,
                keys=tuple(int.from_bytes(key[:8], "little") for key in held),
                holds_workload=any(workload.intersection(words(key)) for key in held),
            )
        return one
    finally:
        os.close(fd)


def keys(fd: int, one: Map) -> Iterator[bytes]:
    """The keys in a map, KEYS_MAX at most."""
    library = objects._library()
    key = ctypes.create_string_buffer(one.key_size)
    last = None
    for _ in range(KEYS_MAX):
        if library.bpf_map_get_next_key(fd, last, key) != 0:
            return
        yield key.raw
        last = ctypes.create_string_buffer(key.raw, one.key_size)


def words(key: bytes) -> set[int]:
    """The 32-bit numbers in a key."""
    return {int.from_bytes(key[start : start + 4], "little") for start in range(0, len(key), 4)}


def slots(fd: int, one: Map) -> Iterator[bytes]:
    """The slots of an array that hold anything but zeros, of the first KEYS_MAX."""
    library = objects._library()
    value = ctypes.create_string_buffer(-(-one.value_size // 8) * 8 * library.libbpf_num_possible_cpus())
    for slot in range(min(one.max_entries, KEYS_MAX)):
        key = slot.to_bytes(4, "little")
        if library.bpf_lookup_elem(fd, key, value) == 0 and any(value.raw):
            yield key


def ring(fd: int) -> tuple[int, int]:
    """Bytes that a ring buffer's readers read and its programs wrote (Documentation/bpf/ringbuf.rst, Linux 6.12)."""
    positions = []
    for page in range(2):
        with mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ, offset=page * PAGE) as memory:
            positions.append(int.from_bytes(memory[:8], "little"))
    return positions[0], positions[1]


def perf_buffers(pid: int) -> Buffers:
    """The perf buffers that a process has open."""
    count = written = read = 0
    with contextlib.suppress(OSError), (PROC / str(pid) / "mem").open("rb", 0) as memory:
        for line in (PROC / str(pid) / "maps").read_text().splitlines():
            if line.endswith("anon_inode:[perf_event]"):
                memory.seek(int(line.split("-")[0], 16) + DATA_HEAD)
                head, tail = memory.read(8), memory.read(8)
                count += 1
                written += int.from_bytes(head, "little")
                read += int.from_bytes(tail, "little")
    return Buffers(open=count, written=written, read=read)


def lines_written() -> int:
    """Lines that were ever written into the kernel's trace."""
    counts: Counter[str] = Counter()
    for stats in TRACING.glob("per_cpu/cpu*/stats"):
        for line in stats.read_text().splitlines():
            name, _, value = line.partition(": ")
            if name in ("entries", "overrun", "read events"):
                counts[name] += int(value)
    return counts.total()


def trace_readers() -> list[int]:
    """Processes that have the kernel's trace_pipe open."""
    return [
        pid
        for pid in processes()
        if any(what.endswith("/tracing/trace_pipe") for _, what in objects.files(pid))
    ]  # fmt: skip


def users(one: Attachment, observer: int) -> Attachment:
    """With the processes that run code of its file, or of another file of that name; those below `observer` count."""
    path, of_this, of_others = os.path.realpath(one.target), [], []
    for pid in processes():
        if pid == observer:
            continue
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "maps").read_text().splitlines():
                _, rights, _, _, _, *name = line.split(maxsplit=5)
                if "x" in rights and name and name[0] == path:
                    of_this.append(pid)
                elif "x" in rights and name and _stem(name[0]) == _stem(path):
                    of_others.append(OtherFile(pid=pid, comm=comm(pid), file=name[0]))
    return replace(one, users=len(of_this), elsewhere=tuple(of_others[:KEYS_TOLD]))


def _stem(path: str) -> str:
    return LIBRARY.sub("", os.path.basename(path))


def processes() -> list[int]:
    """All processes."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def comm(pid: int) -> str:
    """A process's name, or "-" when it has ended."""
    try:
        return (PROC / str(pid) / "comm").read_text().rstrip("\n")
    except OSError:
        return "-"


def is_below(pid: int, ancestor: int) -> bool:
    """Whether `ancestor` is a parent of `pid`, at any distance."""
    while pid > 1 and pid != ancestor:
        try:
            pid = int(objects.stat(pid)[1])
        except OSError:
            return False
    return pid == ancestor
