"""All that host and guest say to each other, as frozen dataclasses: the one place where a key is spelt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.protocol import codec
from harness.protocol.facts import Facts, Gathered
from harness.protocol.visible import visible

Phase = Literal["setup", "call", "teardown"]
Result = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Warm:
    """Import and compile what each run would otherwise do again."""


@dataclass(frozen=True, kw_only=True)
class Settle:
    """A restored guest gets the time of now and separate randomness."""

    time_ns: int
    """Since the epoch."""
    entropy: str
    """Hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class Starved:
    """The guest had no CPU for a while; its deadlines do not count that time."""

    seconds: float
    """Since the last such message."""


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """Start a command as the run's one child."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    """To be made first."""
    tty: bool = False
    rows: int = 24
    columns: int = 80


@dataclass(frozen=True, kw_only=True)
class Run:
    """Start pytest, forked from the warm interpreter, as the run's one child."""

    root: str
    """pytest's root directory; node ids are relative to it."""
    code: str
    """The folder whose loader.py is under test."""
    tests: tuple[str, ...]
    """Test files, absolute."""
    wanted: tuple[str, ...]
    """Node ids to run, of functions or of their parametrised cases."""
    options: tuple[str, ...] = ()
    seed: int = 0
    wait_s: float = 30
    """Seconds that one wait in a test may take."""
    test_s: float = 120
    """Seconds that one test may take, its fixtures included."""
    open_step: int | None = None
    """A step that an earlier guest of the same run found open."""
    holes: tuple[int, ...] = ()
    """Steps that nothing was written for yet: one failing test says all."""
    measure: bool = False
    """Report what the programs cost."""
    hold: bool = False
    """Stop before the first test until Go arrives."""


@dataclass(frozen=True, kw_only=True)
class Go:
    """Let a run that holds go on; only the child's standard input carries it."""

    seed: int
    holes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Signal the child's process group."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Resize:
    """The child's terminal has another size."""

    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class End:
    """End the run, if there is one: the next may begin when this is answered."""


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Send the regular files of a folder, each as a FILE frame, as many as fit."""

    path: str
    size_max: int
    """Bytes in all."""
    files_max: int


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The agent serves."""

    kernel: str
    machine: str


@dataclass(frozen=True, kw_only=True)
class Warmed:
    """The answer to Warm."""

    import_s: float
    compile_s: float
    """0 where BCC cannot compile at all: `lacking` says so."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Feature → what it lacks, in words; empty where it is there."""
    """Seconds of one bare BCC compile; deadlines are multiples of it."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The answer to Settle."""


@dataclass(frozen=True, kw_only=True)
class Exited:
    """The child is gone."""

    status: int
    """As os.waitstatus_to_exitcode has it."""
    out_of_memory: bool = False


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The answer to End."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """All files of a Fetch were sent."""

    left_out: int
    """Files that did not fit, or were no regular ones."""


@dataclass(frozen=True, kw_only=True)
class InternalError:
    """A fault of the harness's guest half, with its traceback: never the learner's."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Collecting:
    """A test file is being read."""

    file: str
    """Relative to the root."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The tests that will run, in order."""

    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Uncollectable:
    """A test file that cannot be imported."""

    file: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Precompiled:
    """The lesson's programs were compiled once while the run holds."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Started:
    """A test begins."""

    nodeid: str


@dataclass(frozen=True, kw_only=True)
class Compiling:
    """The test that runs gives BCC a program to compile."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """One phase of a test has ended."""

    nodeid: str
    when: Phase
    outcome: Result
    duration: float
    text: str = ""
    """pytest's own account of a failure, or a skip's reason."""
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A test has ended, with all its phases reported."""

    nodeid: str


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """The tested code ended pytest's session."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A warning that pytest recorded."""

    category: str
    text: str
    file: str
    line: int
    when: str
    nodeid: str


Request = Warm | Settle | Starved | Spawn | Run | Signal | Resize | End | Fetch
Answer = Ready | Warmed | Settled | Exited | Ended | Fetched | InternalError
Event = (
    Collecting | Collected | Uncollectable | Precompiled | Started | Compiling | Reported | Finished | Interrupted
    | Warned | InternalError
)  # fmt: skip

REQUESTS = (Warm, Settle, Starved, Spawn, Run, Signal, Resize, End, Fetch)
ANSWERS = (Ready, Warmed, Settled, Exited, Ended, Fetched, InternalError)
EVENTS = (
    Collecting, Collected, Uncollectable, Precompiled, Started, Compiling, Reported, Finished, Interrupted, Warned,
    InternalError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a kernel can do for lessons, as harness.guest.observing.features prints it."""

    lacking: Mapping[str, str]
    """Feature → what it lacks, in words; empty where it is there."""


def read_features(line: bytes) -> Features:
    """What harness.guest.observing.features printed; WireError where that is something else."""
    found: Features = codec.load(line, (Features,), visible)
    return found


def read_request(data: bytes) -> Request:
    """The host's request in `data`; WireError where it is none."""
    found: Request = codec.load(data, REQUESTS)
    return found


def read_answer(data: bytes) -> Answer:
    """The agent's answer in `data`, its texts made visible; WireError where it is none."""
    found: Answer = codec.load(data, ANSWERS, visible)
    return found


def read_event(data: bytes) -> Event:
    """The event of a run in `data`, its texts made visible; WireError where it is none."""
    found: Event = codec.load(data, EVENTS, visible)
    return found


def read_gathered(line: bytes) -> Gathered | InternalError:
    """What harness.guest.observing.gather printed on a line; WireError where it is neither."""
    found: Gathered | InternalError = codec.load(line, (Gathered, InternalError), visible)
    return found
