"""The verifier's log taken apart: what it says, at which instruction, what it knew of the registers there.

Reads both forms: that of Linux up to 7.2, and that of 7.3, where a block of reasons follows the message
(torvalds/linux ce7c9f6c599b; quoted in cilium/ebpf#2111).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.explain import limits
from harness.explain.evidence import INSTRUCTION

STATE = re.compile(
    r"^\s*(\d+: \([0-9a-f]{2}\)|\d+: R\d|;|R\d+(_\w+)?=|from \d+ to \d+|func#\d|arg#\d+ reference type|"
    r"processed \d+ insns|verification time|stack depth \d+(?:\+\d+)*$|mark_precise|last_idx|parent |regs=|"
    r"cur state:|old state:|frame\d|caller|"
    r"callee|returning from callee|to caller at|propagating |HINT|bpf: |Failed to load|\[… |Validating |"
    r"BPF program load failed|libbpf: |--)"
)
COMMENT = re.compile(r"^; (?P<text>.*?)(?: @ (?P<file>\S+):(?P<line>" + limits.DIGITS + r"))?$")
REGISTER = re.compile(r"\bR(\d{1,2})(?:_\w+)?=((?:[^\s(]|\([^()]*(?:\([^()]*\)[^()]*)*\))+)")
NAMED = re.compile(rf"\b(?:alloc_insn=|insn )({limits.DIGITS})\b")
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
    """The refusal in `log`; an empty message where there is none."""
    block = NEWER.search(log)
    older = re.sub(r"(goto pc[+-]\d+) (?=[a-z])", r"\1\n", log[: block.start()] if block else log)
    rows = older.splitlines()
    end = max((n for n, row in enumerate(rows) if row.startswith("processed ")), default=len(rows))
    numbers = {n: int(found[1]) for n, row in enumerate(rows[:end]) if (found := INSTRUCTION.match(row))}
    last = max(numbers, default=-1)
    if last < 0 and end == len(rows):
        return Refusal("", None)
    said = [row.strip() for row in rows[last + 1 : end] if row.strip() and not STATE.match(row)]
    message = limits.message("; ".join(said) or (block["title"] if block else ""))
    named = NAMED.search(message)  # else it is the last one that was looked at
    instruction = int(named[1]) if named else numbers.get(last)
    place = max((n for n, number in numbers.items() if number == instruction), default=last)
    comment = next((found for row in reversed(rows[: place + 1]) if (found := COMMENT.match(row))), None)
    code = limits.line(rows[place].split(";")[0].strip()) if place >= 0 else ""
    return Refusal(
        message,
        instruction,
        code,
        comment["text"] if comment else "",
        int(comment["line"]) if comment and comment["line"] else None,
        tuple(_known([row for row in rows[:end] if STATE.match(row)]).items()),
        _section(log, "Reason"),
        _section(log, "Suggestion"),
    )


def _known(rows: list[str]) -> dict[str, str]:
    """Each register's last state; a branch's state line tells all of them anew."""
    found: dict[str, str] = {}
    for row in rows:
        for number, state in REGISTER.findall(row):
            found[f"R{number}"] = state
    return found


def _section(log: str, name: str) -> str:
    """A section of the newer form, in one line."""
    found = re.search(rf"^{name}:\n((?:[ \t]+\S.*\n?)+)", log, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
