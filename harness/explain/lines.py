"""The learner's own line for a line of the text that BCC made of it.

The offset between the two is not constant (a prologue, a line more for each program, a structure for each tracepoint),
so lines are matched by what stands in them.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

LIKE = 0.6
"""Two lines at least so alike are one line, rewritten."""


def aligned(rewritten: str, own: str) -> dict[int, int]:
    """Line of `rewritten` → line of `own`, from 1; lines that BCC added have none."""
    theirs, mine = [_plain(line) for line in rewritten.splitlines()], [_plain(line) for line in own.splitlines()]
    found: dict[int, int] = {}
    for tag, i, i_end, j, j_end in SequenceMatcher(None, theirs, mine, autojunk=False).get_opcodes():
        if tag == "equal":
            found |= {i + n + 1: j + n + 1 for n in range(i_end - i)}
        elif tag == "replace":
            found |= _within(theirs, mine, range(i, i_end), range(j, j_end))
    return found


def _within(theirs: list[str], mine: list[str], block: range, other: range) -> dict[int, int]:
    """The lines of a block that was changed, each to the most alike line of the other, in order."""
    full, same = [i for i in block if theirs[i]], [j for j in other if mine[j]]
    if len(full) == len(same):
        return {i + 1: j + 1 for i, j in zip(full, same, strict=True)}
    found, first = {}, other.start
    for i in full:
        scored = [(alike(theirs[i], mine[j]), -j) for j in range(first, other.stop)]
        best, j = max(scored, default=(0.0, 0))
        if best >= LIKE:
            found[i + 1], first = -j + 1, -j
    return found


def alike(one: str, other: str) -> float:
    """How alike two lines are, 0 to 1; BCC's rewriting keeps a line's words and adds some."""
    if not one.strip() or not other.strip():
        return 0.0
    words = set(re.findall(r"\w+", one)), set(re.findall(r"\w+", other))
    kept = len(words[0] & words[1]) / max(1, len(words[1]))
    return max(SequenceMatcher(None, one, other, autojunk=False).ratio(), kept * 0.9)


def by_text(text: str, own: str, near: int = 0) -> int | None:
    """The line of `own` that says `text`; of several the one nearest to where BCC's shifts would put line `near`."""
    text = _plain(text)
    if not text:
        return None
    lines = [_plain(line) for line in own.splitlines()]
    same = [number for number, line in enumerate(lines, 1) if line == text]
    if not same:
        scored = max(((alike(text, line), -number) for number, line in enumerate(lines, 1)), default=(0.0, 0))
        same = [-scored[1]] if scored[0] >= LIKE else []
    if not same:
        return None
    before = [sum("TRACEPOINT_PROBE" in line for line in lines[:number]) for number in range(len(lines) + 1)]
    return min(same, key=lambda number: abs(near - number - 11 * before[number])) if near else same[0]


def function_line(own: str, name: str) -> int | None:
    """Where the program `name` (BCC's name for it) begins."""
    short = re.sub(r"^(kprobe|kretprobe|raw_tracepoint|kfunc|kretfunc|lsm|syscall)__(?:vmlinux__)?", "", name)
    category, _, event = name.removeprefix("tracepoint__").partition("__")
    patterns = [
        rf"\b{re.escape(name)}\s*\(",
        rf"\bTRACEPOINT_PROBE\s*\(\s*{re.escape(category)}\s*,\s*{re.escape(event or '?')}\s*\)",
        rf"\b\w+_PROBE\s*\(\s*{re.escape(short)}\b",
    ]
    for pattern in patterns:
        if found := re.search(pattern, own):
            return own.count("\n", 0, found.start()) + 1
    return None


def body(own: str, first: int) -> range:
    """The lines of the function that begins at line `first`."""
    depth, seen = 0, False
    for number, line in enumerate(own.splitlines()[first - 1 :], first):
        depth += line.count("{") - line.count("}")
        seen |= "{" in line
        if seen and depth <= 0:
            return range(first, number + 1)
    return range(first, len(own.splitlines()) + 1)


def _plain(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()
