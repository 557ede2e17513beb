"""The verifier's log taken apart: what it says, at which instruction, what it knew of the registers there.

Reads both forms: that of Linux up to 7.2, and that of 7.3, where a block of reasons follows the message
(torvalds/linux ce7c9f6c599b; quoted in cilium/ebpf#2111).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.explain import limits
from harness.explain.evidence import INSTRUCTION

STATE = re.compile(
    r"^\s*(\d+: \([0-9a-f]{2}\)|\d+: R\d|;|R\d+(_\w+)?=|from \d+ to \d+|func#\d|arg#\d+ reference type|"
    r"processed \d+ insns|verification time|stack depth \d+(?:\+\d+)*$|mark_precise|last_idx|parent |regs=|"
    r"cur state:|old state:|frame\d|caller|"
    r"callee|returning from callee|to caller at|propagating |HINT|bpf: |Failed to load|\[… |Validating |"
    r"BPF program load failed|libbpf:|--)"
)
COMMENT = re.compile(r"^; (?P<text>.*?)(?: @ (?P<file>\S+):(?P<line>" + limits.DIGITS + r"))?$")
REGISTER = re.compile(r"\bR(\d{1,2})(?:_\w+)?=((?:[^\s(]|\([^()]*(?:\([^()]*\)[^()]*)*\))+)")
NAMED = re.compile(rf"\b(?:alloc_insn=|insn )({limits.DIGITS})\b")
BEGIN = re.compile(r"-- BEGIN (?:DUMP|PROG LOAD) LOG --")
END = re.compile(r"-- END (?:LOG|PROG LOAD LOG) --")
ANNOUNCED = "bpf: Failed to load program"
"""BCC's line before a log (src/cc/libbpf.c, 0.31); what follows is the kernel's."""
HEADING = re.compile(rf"{ANNOUNCED}|(?:Kernel )?[Ee]rror log:|.*\bVerifier (?:analysis|output|log):")
"""The same of bpftrace, tc and Aya."""
OTHERS = re.compile(r"Traceback |File \"|Exception|HINT:|libbpf: |Error|ERROR|--|\w+(?:\.\w+)*(?:Error|Exception)\b")
"""Rows of other tools behind a log whose end was cut."""
NOTE = "reg type unsupported for arg#"
ARGUMENT = re.compile(r"R\\d+ type=\\S+ expected=\\S+$")
NEWER = re.compile(r"^Verification failed: (?P<title>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Refusal:
    """Why and where the verifier stopped."""

    message: str
    """Its own words: one line, or several joined."""
    instruction: int | None
    code: str = ""
    """That instruction as the log shows it."""
    comment: str = ""
    """The source line that the log shows before it."""
    comment_line: int | None = None
    registers: tuple[tuple[str, str], ...] = ()
    """Register → what was known of it last: ("R6", "map_value(map=n,…)")."""
    reason: str = ""
    """Linux 7.3 and newer: its own explanation, and advice."""
    suggestion: str = ""


def read(log: str) -> Refusal:
    """The refusal in `log`, of several the last; an empty message where there is none."""
    block = NEWER.search(log)
    older = re.sub(r"(goto pc[+-]\d+) (?=[a-z])", r"\1\n", log[: block.start()] if block else log)
    refused = Refusal("", None)
    for rows, ended in reversed([*_blocks([row.strip() for row in _marked(older)])]):
        refused = _refusal(rows, ended, block["title"] if block else "")
        if refused.message:
            break
    return replace(refused, reason=_section(log, "Reason"), suggestion=_section(log, "Suggestion"))


def _refusal(rows: list[str], ended: bool, title: str) -> Refusal:
    """The refusal in the log of one program; `ended`: whether the kernel's last line is there."""
    numbers = {n: int(found[1]) for n, row in enumerate(rows) if (found := INSTRUCTION.match(row))}
    last = max(numbers, default=-1)
    if numbers:
        said = _first(rows[last + 1 :], ended)
    else:
        said = _next_to_the_end(rows) if ended else _first(rows, ended) if _announced(rows) else []
    message = limits.message("; ".join(said) or title)
    named = NAMED.search(message)  # else it is the last one that was looked at
    instruction = int(named[1]) if named else numbers.get(last)
    place = max((n for n, number in numbers.items() if number == instruction), default=last)
    comment = next((found for row in reversed(rows[: place + 1]) if (found := COMMENT.match(row))), None)
    return Refusal(
        message,
        instruction,
        limits.line(rows[place].split(";")[0].strip()) if place >= 0 else "",
        comment["text"] if comment else "",
        int(comment["line"]) if comment and comment["line"] else None,
        tuple(_known([row for row in rows if STATE.match(row)]).items()),
    )


def _marked(log: str) -> list[str]:
    """The rows between libbpf's marks, with what comes before them; all where there are none."""
    rows = log.splitlines()
    end = max((n for n, row in enumerate(rows) if END.search(row)), default=len(rows))
    begin = max((n for n, row in enumerate(rows[:end]) if BEGIN.search(row)), default=-1)
    return [ANNOUNCED, *rows[begin + 1 : end]] if begin >= 0 else rows


def _blocks(rows: list[str]) -> Iterator[tuple[list[str], bool]]:
    """The rows of each program, and whether the line that ends its log is there."""
    first = 0
    for n, row in enumerate(rows):
        if row.startswith("processed "):
            yield rows[first:n], True
            first = n + 1
    yield rows[first:], False


def _announced(rows: list[str]) -> bool:
    return any(map(HEADING.match, rows))


def _first(rows: list[str], ended: bool) -> list[str]:
    """What is said first; where the log's own end is missing, up to an empty row or to another tool's words."""
    said: list[str] = []
    if not ended and _announced(rows):
        rows = rows[next(n for n, row in enumerate(rows) if HEADING.match(row)) + 1 :]
    rows = [row for n, row in enumerate(rows) if not _note(rows, n)]
    for row in rows:
        if not ended and (OTHERS.match(row) or (said and not row)):
            break
        if row and not STATE.match(row):
            said.append(row)
    return said


def _note(rows: list[str], n: int) -> bool:
    """Whether row `n` belongs to a note on a function's arguments, which refuses nothing (kernel/bpf/btf.c, 6.1)."""
    after = rows[n + 1] if n + 1 < len(rows) else ""
    return rows[n].startswith(NOTE) or (after.startswith(NOTE) and ARGUMENT.match(rows[n]) is not None)


def _next_to_the_end(rows: list[str]) -> list[str]:
    """What is said right before the end where no instruction was looked at."""
    said: list[str] = []
    for row in reversed([row for n, row in enumerate(rows) if not _note(rows, n)]):
        if (not row and said) or row.endswith(":") or row.startswith(ANNOUNCED):
            break
        if row and not STATE.match(row):
            said.insert(0, row)
    return said


def _known(rows: list[str]) -> dict[str, str]:
    """Each register's last state; a branch's state line reports all of them again."""
    found: dict[str, str] = {}
    for row in rows:
        for number, state in REGISTER.findall(row):
            found[f"R{number}"] = state
    return found


def _section(log: str, name: str) -> str:
    """A section of the newer form, in one line."""
    found = re.search(rf"^{name}:\n((?:[ \t]+\S.*\n?)+)", log, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
