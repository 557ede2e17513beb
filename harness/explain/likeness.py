"""Which of many pairs of texts is most similar, found with a bounded amount of work.

difflib's ratio takes cubic time for lines such as "xyxyxy…" and "xzxzxz…", so that the promising pairs are compared
first and the others not at all: no ratio is above that of the two texts' letters in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from harness.explain import limits


@dataclass
class Work:
    """What a search may still do, in steps of difflib's innermost loop."""

    left: int = limits.WORK_MAX

    def take(self, steps: int) -> bool:
        """Whether as many are left; they are spent then."""
        if steps > self.left:
            return False
        self.left -= steps
        return True


def steps(one: Counter[Hashable], other: Counter[Hashable]) -> int:
    """The most that SequenceMatcher does for two sequences: its equal pairs, for each block that may be found."""
    pairs = sum(count * other[item] for item, count in one.items() if item in other)
    return pairs * min(one.total(), other.total())


def most_alike(
    pairs: Sequence[tuple[str, str]], least: float, work: Work, known: Iterable[float] | None = None
) -> int | None:
    """The index of the most similar pair, of equal ones the first; None if none is as similar as `least`.

    `known` is how similar each pair is at least, by another measure. It alone counts when the work is done.
    """
    best, where = least, None
    for bound, place, floor, cost in sorted(_promising(pairs, least, known)):
        if -bound < best:
            break
        one, other = pairs[place]
        ratio = SequenceMatcher(None, one, other, autojunk=False).ratio() if work.take(cost) else 0.0
        score = max(ratio, floor)
        if score > best or (score == best and (where is None or place < where)):
            best, where = score, place
    return where


def _promising(
    pairs: Sequence[tuple[str, str]], least: float, known: Iterable[float] | None
) -> Iterable[tuple[float, int, float, int]]:
    """Of each pair that may be as similar as `least`: what it is at most (negative), its index, its floor, its cost."""
    letters: dict[str, Counter[Hashable]] = {}
    for place, ((one, other), floor) in enumerate(zip(pairs, known or [0.0] * len(pairs), strict=True)):
        length = len(one) + len(other)
        if not length or max(2.0 * min(len(one), len(other)) / length, floor) < least:
            continue
        letters |= {text: Counter(text) for text in (one, other) if text not in letters}
        ours, theirs = letters[one], letters[other]
        bound = max(2.0 * (ours & theirs).total() / length, floor)
        if bound >= least:
            yield -bound, place, floor, steps(ours, theirs)
