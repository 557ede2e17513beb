"""What a learner can ask while a lesson is watched: the same words for a key, a button and a save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

What = Literal[
    "save", "check", "all", "hint", "diff", "judge", "compare", "next", "open", "reset", "undo", "run", "stop", "quit"
]
WORDS: tuple[What, ...] = get_args(What)
ENDS_WORK = frozenset({"save", "next", "open", "stop", "quit"})
"""What makes the check, or whatever the lab does, stale."""
LIGHT = frozenset({"hint", "diff", "reset", "undo"})
"""What needs no lab, and is answered while the lab works."""


@dataclass(frozen=True)
class Ask:
    """One wish."""

    what: What
    lesson: str = ""
    """Name of the lesson that it is about (open: to which it leads); empty for the one that is watched."""


SAVE, QUIT = Ask("save"), Ask("quit")
