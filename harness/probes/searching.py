"""Which names are meant: by a part of them or a pattern, the best first; which are close to one that is not there."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

from harness.explain.likeness import Work, most_alike

PATTERN = re.compile(r"[*?\[]")
CLOSE = 0.66
"""Names at least so alike are one name, mistyped."""
CLOSE_MAX = 3


def matching(names: Iterable[str], words: Sequence[str]) -> list[str]:
    """The names that have all words in them, or fit all that are patterns (`vfs_*`): best first.

    A name that is one of the words is best; then names that begin with one, then short ones.
    """
    tests = [_test(word.lower()) for word in words]
    found = [name for name in names if all(test(name.lower()) for test in tests)] if tests else []
    return sorted(found, key=lambda name: (_rank(name, words), len(name), name))


def _test(word: str) -> Callable[[str], bool]:
    if PATTERN.search(word):
        fits = re.compile(fnmatch.translate(word))
        return lambda name: fits.match(name) is not None
    return lambda name: word in name


def _rank(name: str, words: Sequence[str]) -> int:
    parts = {name, name.split(":")[-1]}
    if parts & set(words):
        return 0
    return 1 if any(part.startswith(tuple(words)) for part in parts) else 2


def near(names: Iterable[str], words: Sequence[str]) -> list[str]:
    """At most CLOSE_MAX names like the one word, best first; nothing where there are several, or a pattern."""
    if len(words) != 1 or PATTERN.search(words[0]):
        return []
    left = [
        name for name in names if abs(len(name.split(":")[-1]) - len(words[0].split(":")[-1])) <= len(words[0]) // 3
    ]
    found: list[str] = []
    work = Work()
    while len(found) < CLOSE_MAX:
        pairs = [(name if ":" in words[0] else name.split(":")[-1], words[0]) for name in left]
        place = most_alike(pairs, CLOSE, work)
        if place is None:
            break
        found.append(left.pop(place))
    return found
