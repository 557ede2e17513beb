"""The learner's own line for a line of the text that BCC made of it.

The offset between the two is not constant (a prologue, a line more for each program, a structure for each tracepoint),
so lines are matched by what stands in them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from harness.explain import limits
from harness.explain.likeness import Work, most_alike, steps

LIKE = 0.6
"""Two lines at least this similar are one line, rewritten."""
KEPT = 0.9
"""How similar a line is that keeps all words of another; BCC's rewriting keeps a line's words and adds some."""
STRUCTURE = re.compile(r"\bstruct\s+(\w+)\s*\{")


@functools.lru_cache(maxsize=2)
def aligned(rewritten: str, own: str) -> Mapping[int, int]:
    """Line of `rewritten` → line of `own`, from 1; lines that BCC added have none."""
    theirs, mine, work = _rows(rewritten), _rows(own), Work()
    found: dict[int, int] = {}
    for tag, i, i_end, j, j_end in _matcher(theirs, mine).get_opcodes():
        if tag == "equal":
            found |= {i + n + 1: j + n + 1 for n in range(i_end - i)}
        elif tag == "replace":
            found |= _within(theirs, mine, range(i, i_end), range(j, j_end), work)
    return found


def _matcher(theirs: Sequence[str], mine: Sequence[str]) -> SequenceMatcher[str]:
    """What aligns two texts: by all their lines, or in long ones by those that one text has once."""
    counts: tuple[Counter[Hashable], Counter[Hashable]] = (Counter(theirs), Counter(mine))
    if steps(*counts) <= limits.ALIGNING_MAX:
        return SequenceMatcher(None, theirs, mine, autojunk=False)
    return SequenceMatcher(lambda row: counts[1][row] > 1, theirs, mine, autojunk=False)


def _within(theirs: Sequence[str], mine: Sequence[str], block: range, other: range, work: Work) -> dict[int, int]:
    """The lines of a block that was changed, each to the most similar line of the other, in order."""
    full, same = [i for i in block if theirs[i]], [j for j in other if mine[j]]
    if len(full) == len(same):
        return {i + 1: j + 1 for i, j in zip(full, same, strict=True)}
    found, first = {}, other.start
    for i in full:
        rest = [j for j in same if j >= first]
        if not work.take(sum(len(theirs[i]) + len(mine[j]) for j in rest)):
            break
        if (place := _most_alike(theirs[i], [mine[j] for j in rest], work)) is not None:
            found[i + 1], first = rest[place] + 1, rest[place]
    return found


def _most_alike(text: str, rows: Sequence[str], work: Work) -> int | None:
    """The index of the line that `text` was most likely made of, or that was made of it."""
    words = set(re.findall(r"\w+", text))
    others = [set(re.findall(r"\w+", row)) for row in rows]
    kept = [KEPT * len(words & other) / max(1, len(other)) for other in others]
    return most_alike([(text, row) for row in rows], LIKE, work, kept)


def by_text(text: str, own: str, near: int = 0) -> int | None:
    """The line of `own` that says `text`; of several the one nearest to where BCC's shifts would put line `near`."""
    text, rows = _plain(text), _rows(own)
    if not text:
        return None
    same = [number for number, row in enumerate(rows, 1) if row == text]
    if not same:
        full = [number for number, row in enumerate(rows, 1) if row]
        place = _most_alike(text, [rows[number - 1] for number in full], Work())
        return None if place is None else full[place]
    before = [*itertools.accumulate(("TRACEPOINT_PROBE" in row for row in rows), initial=0)]
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


def structures(text: str) -> Iterator[tuple[str, str]]:
    """The name of each structure and what is in it, up to the first closing brace; each character is read once."""
    place = 0
    while opened := STRUCTURE.search(text, place):
        place = text.find("}", opened.end())
        if place < 0:
            return
        yield opened[1], text[opened.end() : place]


def _rows(text: str) -> list[str]:
    return [_plain(row) for row in text.splitlines()]


def _plain(line: str) -> str:
    return " ".join(line.split())
