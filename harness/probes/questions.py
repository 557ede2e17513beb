"""What a learner asks in words → where to look: a small table, of which each entry was seen to be true in the lab."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.course.tables import Table

FILE = Path(__file__).with_name("questions.toml")
IDLE = re.compile("a|an|and|are|at|by|do|does|from|how|i|in|is|it|my|of|on|the|to|what|when|where|which|who|why")
"""Words that say nothing about what is asked."""


@dataclass(frozen=True)
class Named:
    """A probe, and what it sees."""

    name: str
    sees: str

    @property
    def is_tracepoint(self) -> bool:
        return ":" in self.name


@dataclass(frozen=True)
class Question:
    """A question, with the probes that answer it."""

    ask: str
    words: tuple[frozenset[str], ...]
    """Groups of beginnings of words."""
    workload: str
    """A shell's command that all probes see."""
    probes: tuple[Named, ...]

    def fits(self, typed: Sequence[str]) -> int:
        """How many of the groups have one of these words."""
        return sum(any(word.startswith(stem) for word in typed for stem in group) for group in self.words)


@functools.cache
def every() -> tuple[Question, ...]:
    """The table; UsageError where it is wrong."""
    tables = Table.load(FILE, {"question"}).tables("question", {"ask", "words", "try", "probe"})
    return tuple(
        Question(
            table.line("ask"),
            tuple(frozenset(group.split()) for group in table.lines("words")),
            table.line("try"),
            tuple(Named(one.line("name"), one.line("sees")) for one in table.tables("probe", {"name", "sees"})),
        )
        for table in tables
    )


def asked(words: Sequence[str]) -> list[Question]:
    """The questions that are meant: for one word those that have it, for several those that have most, at least two."""
    plain = [word.lower().strip("?!.,") for word in words]
    typed = [word for word in plain if word.isalpha() and not IDLE.fullmatch(word)]
    least = min(2, len(typed))
    fit = [(question.fits(typed), question) for question in every()]
    best = max((number for number, _ in fit), default=0)
    return [question for number, question in fit if number == best >= least > 0]
