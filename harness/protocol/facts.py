"""What the guest knows of a failure, of programs from which no event came, and of what programs cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One line that a Python exception came through."""

    path: str
    line: int
    """1-based."""
    text: str = ""
    name: str = ""
    """The function."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One loaded program; `runs` and `run_ns` count only while /proc/sys/kernel/bpf_stats_enabled is 1."""

    id: int
    name: str
    """The C function's name; its first 15 characters where this process did not load it: the kernel keeps no more."""
    type: int
    """enum bpf_prog_type (include/uapi/linux/bpf.h, Linux 6.12)."""
    runs: int = 0
    run_ns: int = 0
    maps: tuple[int, ...] = ()
    """Ids of the maps that it uses."""
    xlated: int = 0
    """Bytes of instructions after the verifier rewrote them."""
    jited: int = 0
    """Bytes of machine code."""
    verified: int = 0
    """Instructions that the verifier walked."""
    stack: int | None = None
    """Bytes, where the verifier was asked."""


@dataclass(frozen=True, kw_only=True)
class OtherFile:
    """A process that runs another file of the same name than the one that a uprobe is in."""

    pid: int
    comm: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """Where a program is attached."""

    program: int
    kind: str
    target: str
    """The kernel's function or tracepoint; a file for uprobes; empty where the kernel does not say."""
    offset: int = 0
    """In the file, for uprobes."""
    users: int | None = None
    """Processes that run code of the file, for uprobes that were asked about."""
    elsewhere: tuple[OtherFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Map:
    """One map."""

    id: int
    name: str = ""
    type: int = 0
    """enum bpf_map_type."""
    key_size: int = 0
    value_size: int = 0
    max_entries: int = 0
    bytes: int = 0
    """Kernel memory that it takes (memlock of its fdinfo)."""
    entries: int = 0
    keys: tuple[int, ...] = ()
    """The first 8 bytes of some keys as numbers."""
    distinct: int | None = None
    """Keys that differ in a field, not in padding alone; None where the key's fields are not known."""
    unset: int = 0
    """Keys whose padding holds anything but zeros."""
    holds_workload: bool | None = None
    """Whether a key holds the process id of the test's workload; None where there are no keys to look at."""
    written: int = 0
    """Bytes, of a ring buffer."""
    read: int = 0


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """The perf buffers that a process has open: how many, bytes written into them, bytes read."""

    open: int = 0
    written: int = 0
    read: int = 0


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A process that has the kernel's trace_pipe open."""

    pid: int
    comm: str
    own: bool


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the process's own code asked of one map."""

    map: int
    looked_up: tuple[int, ...] = ()
    written: tuple[int, ...] = ()
    walked: bool = False
    """It went through the keys."""
    deleted: bool = False
    """It took entries out."""


@dataclass(frozen=True, kw_only=True)
class Called:
    """A function of BCC's that a script called."""

    what: str
    """Its name, as open_perf_buffer or attach_kprobe."""
    name: str = ""
    """The table, or the C function that was attached."""
    path: str = ""
    line: int = 0
    """Of the first call in the script's own files."""
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """One field of a structure."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A structure as C has it, and the class or format by which a script read it."""

    table: str
    what: Literal["event", "key", "value"]
    reader: str
    """The class's name, or struct's format."""
    size: int
    """Bytes in C."""
    read_size: int
    """Bytes in Python."""
    fields: tuple[Part, ...] = ()
    read: tuple[Part, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What the callback of one buffer was given, and what the kernel dropped because the buffer was full."""

    table: str
    events: int = 0
    lost: int = 0
    own_lost: bool = False
    """The script has a callback for losses."""
    full: int = 0
    """How often a ring buffer had no room for another event when it was read: the kernel does not count its losses."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a script did with BCC, seen from inside its process."""

    ended: bool = False
    """By itself, before its time was over."""
    calls: tuple[Called, ...] = ()
    layouts: tuple[Layout, ...] = ()
    arrived: tuple[Arrived, ...] = ()
    worked: int = 0
    """System calls that it made after it had attached its programs, those of waiting and printing left out."""
    own_calls: Mapping[str, int] = field(default_factory=dict)
    """System calls of its threads after that."""
    too_early: Mapping[str, int] = field(default_factory=dict)
    """System calls of its threads before that."""
    computed_s: float = 0.0
    """Processor time that it used after that."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What the kernel knows of a process's programs: where attached, how often run, what written and read."""

    counted: bool
    """Whether the kernel counted runs."""
    programs: tuple[Program, ...]
    attachments: tuple[Attachment, ...] = ()
    maps: tuple[Map, ...] = ()
    workload: tuple[int, ...] = ()
    """Process ids of the test's workload."""
    buffers: Buffers = field(default_factory=Buffers)
    trace_readers: tuple[Reader, ...] = ()
    trace_lines: int | None = None
    """Lines written into the kernel's trace meanwhile; None where that was not looked at."""
    asked: tuple[Asked, ...] = ()
    syscalls: Mapping[str, int] = field(default_factory=dict)
    """System call → how often the machine called it meanwhile."""
    printed: int = 0
    """Different lines that a script printed."""
    script: Script | None = None
    """None in a test."""


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """What was asked, after an attach failed, about the name in the failure."""

    asked: bool = False
    exists: bool | None = None
    near: tuple[str, ...] = ()
    unprivileged: bool = False


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """All that is known of one program or script that was run to see how it fails."""

    file: str
    status: int
    """Exit status; minus the signal's number where one ended it."""
    stage: Literal["compile", "load", "attach", "run"]
    modules: int = 0
    """BPF modules that it compiled."""
    path: str = ""
    """The C file, where there is one."""
    source: str = ""
    log: str = ""
    """The verifier's own, whole."""
    errno: int = 0
    program: str = ""
    program_type: int = 0
    exception: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()
    unprivileged: bool = False
    callback: bool = False
    """The exception was raised in a callback of ctypes."""
    text: str = ""
    """All that was printed."""
    rewritten: str = ""
    """What BCC made of the source."""
    lines: tuple[tuple[int, int], ...] = ()
    """Instruction and line of `rewritten`, of the refused program."""
    calls: tuple[int, ...] = ()
    """Instructions that call a function that was not loaded along."""
    symbols: Symbols = field(default_factory=Symbols)
    activity: Activity | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the programs of a test cost, at its end."""

    programs: tuple[Program, ...]
    maps: tuple[Map, ...]
    lost: int
    """Events that found no room in a perf buffer."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An exception that a callback of the learner's raised, and that an object of the test holds."""

    name: str
    """Where it is kept, such as stream.error."""
    exception: str
    """Name of its class."""
    message: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a report says beside pytest's own words."""

    exception: str = ""
    """Name of the exception's class."""
    message: str = ""
    lab: str = ""
    """What the lab could not do; the test then says nothing about the code."""
    frames: tuple[Frame, ...] = ()
    symbols: Symbols | None = None
    gathered: Gathered | None = None
    activity: Activity | None = None
    measured: Measured | None = None
    kept: Kept | None = None
    asserted: tuple[int, ...] | None = None
    """Lines of the assertions that held in the test; None where that was not asked for."""
