"""What is known of a failure: gathered in the guest (harness.guest.observing.gather), or read from a log alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Stage = Literal["compile", "load", "attach", "run", "ok"]

INSTRUCTION = re.compile(r"^[ \t]*(\d{1,9}): \([0-9a-f]{2}\)", re.MULTILINE)
CLANG = re.compile(
    r"^(?P<file>[^\s:]+):(?P<line>\d{1,9}):(?P<column>\d{1,9}): (?:fatal )?error: (?P<message>.*)$", re.MULTILINE
)
LLVM = re.compile(r"^(?:LLVM ERROR|error): (?P<message>.*\bin function (?P<function>\w+).*)$", re.MULTILINE)
REFUSED = re.compile(r"^bpf: |Failed to load BPF program|BPF program load failed|^processed \d+ insns", re.MULTILINE)
ATTACHING = re.compile(
    r"Failed to attach|cannot attach|could not determine address of symbol|could not find library|not traceable"
    r"|Failed to open raw device|Unable to find kernel|failed to enable probe",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Frame:
    """One line that a Python exception came through."""

    path: Path
    line: int
    text: str


@dataclass(frozen=True)
class Evidence:
    """One failure, or none."""

    stage: Stage
    text: str
    """All that was printed."""
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
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the guest was asked afterwards, about symbols and tracepoints."""
    silent: Mapping[str, Any] = field(default_factory=dict)
    """What the kernel knew of a script that ran to the end of its time."""


def of_log(text: str, file: Path | None = None) -> Evidence:
    """Evidence from a log alone."""
    return Evidence(
        stage_of(text),
        text,
        file,
        log=text if INSTRUCTION.search(text) else "",
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


def _raised(text: str) -> str:
    """The last line of a traceback."""
    found = re.findall(r"^(?:[\w.]+(?:Error|Exception|Exit|\.error)): (.*)$", text, re.MULTILINE)
    return str(found[-1]) if found else ""


def of_data(data: Mapping[str, Any], own: Mapping[Path, str]) -> Evidence:
    """Evidence from what the guest sent; `own` holds the files that travelled there."""
    file = Path(data["file"])
    path = Path(data["path"]) if data.get("path") else file
    message = str(data.get("message", ""))
    failed = data["status"] not in (0, -9, -2) or bool(data.get("callback"))
    if data["status"] < 0 and (data["stage"] == "compile" or file.suffix != ".py"):
        failed = True  # a script may be ended when its time is over; a program ends by itself
    idle = not failed and file.suffix == ".py" and data.get("modules") == 0
    stage: Stage = data["stage"]
    if not failed and not idle:
        stage = "ok"
    elif stage == "load" and message and "Failed to load" not in message and "super-user" not in message:
        stage = "run"
    if failed and ATTACHING.search(message):
        stage = "attach"
    return Evidence(
        stage,
        data["text"],
        file,
        path,
        own.get(path, data.get("source", "")),
        data.get("rewritten", ""),
        data.get("log", ""),
        data.get("errno", 0),
        data.get("program", ""),
        {int(number): int(line) for number, line in data.get("lines", ())},
        tuple(data.get("calls", ())),
        str(data.get("exception", "")),
        message,
        tuple(Frame(Path(name), line, text) for name, line, text, *_ in data.get("frames", ())),
        bool(data.get("callback")),
        data.get("facts", {}) | {"nothing_loaded": idle},
        data.get("silent", {}),
    )
