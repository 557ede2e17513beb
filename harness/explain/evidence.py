"""What is known of a failure: gathered in the guest (harness.guest.observing.gather), or read from a log alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.explain import forms, limits, numbers, results
from harness.explain.ctext import Sources
from harness.protocol.facts import Activity, Frame, Gathered, Symbols
from harness.protocol.shorten import shortened

Stage = Literal["compile", "load", "attach", "run", "ok"]

INSTRUCTION = re.compile(r"^[ \t]*(\d{1,9}): \([0-9a-f]{2}\)", re.MULTILINE)
CLANG = re.compile(
    r"^(?P<file><[^>\n]+>|[^\s:]+):(?P<line>\d{1,9}):(?P<column>\d{1,9}): (?:fatal )?error: (?P<message>.*)$",
    re.MULTILINE,
)
WARNING = re.compile(
    r"^(?P<file>/virtual/main\.c):(?P<line>\d{1,9}):(?P<column>\d{1,9}): warning: (?P<message>.*)$", re.MULTILINE
)
LLVM = re.compile(r"^(?:LLVM ERROR|error): (?P<message>.*\bin function (?P<function>\w+).*)$", re.MULTILINE)
REFUSED = re.compile(
    r"^bpf: |Failed to load BPF program|BPF program load failed|^processed \d+ insns|\bload program: |BPF_PROG_LOAD\b"
    r"|^Prog section '.*' rejected|load bpf program failed|failed to load program|Error loading (?:BPF )?program",
    re.MULTILINE,
)
ATTACHING = re.compile(
    r"Failed to attach|cannot attach|could not determine address of symbol|could not find library|not traceable"
    r"|Failed to open raw device|Unable to find kernel (?!headers)|failed to enable probe|perf_event_open\b"
    r"|RTNETLINK answers|failed to (?:auto-)?attach|couldn't attach|error attaching|could not attach",
    re.IGNORECASE,
)
KERNEL = re.compile(
    r"/lib/modules/(\d+)\.(\d+)\.|/usr/src/linux-headers-(\d+)\.(\d+)\.|^(?:Linux (?:\S+ )?)?(\d)\.(\d+)\.\d+\S*$",
    re.MULTILINE,
)
"""The running kernel, from a path of its headers or from what `uname` printed."""
HEALTHY = re.compile(
    r"^\s*(?:libbpf: (?:looking for|loading|elf:|sec |collected|map '[^']*': (?:created|at sec|found))|@)"
)
COMPLAINT = re.compile(
    rf"(?:[:(\[-] ?)(?i:{numbers.TEXT.pattern})"
    r"|(?:^|[\s\[*])(?:fatal |[A-Z]\w*)?(?:[Ee]rror|ERROR|FATAL|[Pp]anic)(?:[:!(\]]|$)|(?:^|\s)(?:ERROR|FATAL|PANIC)\s"
    r"|^Error |\berrors? generated|\b[Ff]ail(?:ed|ure) (?:to|with|at|on|in|because|while)\b"
    r"|\b(?:[Ff]ail(?:ed|ure)|FAILED)(?:$|[:!.])|(?<!-)\b[Cc]an(?:'|no)t \w|\b[Cc]ould ?n[o']t \w|\b[Uu]nable to \w"
    r"|\b(?:is|are|was|were) not (?!(?:affect|count|display|includ|need|print|requir|trac|us)ed)\w+(?:ed|able|found)\b"
    r"|\bnot found\b|\bundefined (?:symbol|reference)"
    r"|\bunknown (?:func|insn|opcode|option|symbol|map|attach|program|command)|^Traceback"
    r"|^(?:\w+\.)*\w*(?:Error|Exception)\b|^(?:R\d+ )?invalid |^RTNETLINK answers"
    r"|(?<![/.])\b(?:prohibited|disallowed|restricted|denied)\b(?![/.]\w)"
    r"|\b[Ss]egmentation fault\b|\bcore dumped\b|^Killed$|^Aborted|^(?:Possibly l|L)ost \d"
    r"|\b[Mm]ap (?:is )?full\b| is missing\b|\bmust (?:be|provide) \w|\bnot supported \(requires |\bexit status [1-9]"
    r"|\bapply CO-RE relocations: |\bdoesn't support global data$|: parameter mismatch$"
)
"""What a line of a tool's has that complains; names in a table of results seldom have it."""

REFUSED_BY_BCC = re.compile("Failed to load|super-user")


ENDED_BY = (1, 2, 9, 10, 12, 14, 15)
"""Signals by which a script may end as it should: HUP, INT, KILL, USR1, USR2, ALRM, TERM (signal(7))."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One failure, or none."""

    stage: Stage
    text: str
    """All that was printed."""
    files: Mapping[Path, str] = field(default_factory=dict)
    """The texts that travelled into the lab. No other file's line is ever shown: a report can name any."""
    file: Path | None = None
    """What the user named; None for standard input."""
    path: Path | None = None
    """The learner's C file, or the script that holds the C text."""
    own: str = ""
    """The learner's text in `path`."""
    rewritten: str = ""
    """What BCC made of it before clang saw it for good."""
    log: str = ""
    """The verifier's own log, whole, where it was had."""
    errno: int = 0
    program: str = ""
    lines: Mapping[int, int] = field(default_factory=dict)
    """Instruction → line of `rewritten`, for the program that was refused."""
    calls: tuple[int, ...] = ()
    """Instructions of that program which call a function that was not loaded along."""
    exception: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()
    callback: bool = False
    said: str = ""
    """What the tools said: `text` and `message` without the verifier's steps."""
    symbols: Symbols = field(default_factory=Symbols)
    """What the guest was asked afterwards, about symbols and tracepoints."""
    nothing_loaded: bool = False
    """A script ended by itself and made no BPF object."""
    activity: Activity | None = None
    """What the kernel knew of a script before its end, or at the end of its time."""

    @property
    def sources(self) -> Sources:
        """The learner's texts, in which a cause's line is looked for."""
        return Sources(self.own, self.path, self.file, self.files)

    @property
    def answers(self) -> frozenset[str]:
        """The questions that were answered with yes; a rule can ask for one by name."""
        found = {
            "asked": self.symbols.asked, "exists": self.symbols.exists, "unprivileged": self.symbols.unprivileged,
            "nothing_loaded": self.nothing_loaded,
        }  # fmt: skip
        return frozenset(name for name, yes in found.items() if yes)

    @property
    def kernel(self) -> tuple[int, int] | None:
        """The version of the kernel, where something that was printed names it."""
        found = KERNEL.search(self.said)
        numbers = [int(part) for part in found.groups() if part] if found else []
        return (numbers[0], numbers[1]) if numbers else None

    @property
    def complaints(self) -> list[str]:
        """The lines in which a tool complains, in order."""
        return [row.strip() for row in results.others(self.said) if COMPLAINT.search(row) and not HEALTHY.match(row)]


def of_log(text: str, file: Path | None = None) -> Evidence:
    """Evidence from a log alone."""
    text = forms.plain(shortened(text, limits.TEXT_MAX))
    return Evidence(
        stage=stage_of(text),
        text=text,
        file=file,
        log=text if INSTRUCTION.search(text) else "",
        exception=_class(text),
        message=_raised(text),
        callback="ctypes callback function" in text,
    )


def stage_of(text: str) -> Stage:
    """What was being done when `text` was printed."""
    if CLANG.search(text) or LLVM.search(text) or "Failed to compile" in text:
        return "compile"
    if REFUSED.search(text) or INSTRUCTION.search(text):
        return "load"
    return "attach" if ATTACHING.search(text) else "run"


RAISED = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception|Exit|\.error))(?:: (.*))?$", re.MULTILINE)


def _raised(text: str) -> str:
    """What the last exception of a log says."""
    found = RAISED.findall(text)
    return str(found[-1][1]) if found else ""


def _class(text: str) -> str:
    """Its class."""
    found = RAISED.findall(text)
    return str(found[-1][0]).rpartition(".")[2] if found else ""


def of_gathered(found: Gathered, files: Mapping[Path, str]) -> Evidence:
    """Evidence from what the guest gathered; `files` are the texts that travelled there, and a path is one of them."""
    file = Path(found.file) if Path(found.file) in files else None
    path = Path(found.path) if Path(found.path) in files else file
    is_script = found.file.endswith(".py")
    failed = found.status not in (0, *(-number for number in ENDED_BY)) or found.callback
    if found.status < 0 and (found.stage == "compile" or not is_script):
        failed = True  # a script may be ended when its time is over; a program ends by itself
    idle = not failed and is_script and found.modules == 0
    stage: Stage = found.stage
    if not failed and not idle:
        stage = "ok"
    elif stage == "load" and found.message and not REFUSED_BY_BCC.search(found.message):
        stage = "run"
    if failed and ATTACHING.search(found.message):
        stage = "attach"
    return Evidence(
        stage=stage,
        text=found.text,
        files=files,
        file=file,
        path=path,
        own=files.get(path, found.source) if path else found.source,
        rewritten=found.rewritten,
        log=found.log,
        errno=found.errno,
        program=found.program,
        lines=dict(found.lines),
        calls=found.calls,
        exception=found.exception,
        message=found.message,
        frames=found.frames,
        callback=found.callback,
        symbols=found.symbols,
        nothing_loaded=idle,
        activity=found.activity,
    )
