"""How much of what a guest, a log or a learner's file says is looked at: patterns and comparisons need an end.

Each number is many times what an honest failure has, and small enough that the worst input is answered within a second.
"""

from __future__ import annotations

TEXT_MAX = 1 << 20
"""Characters of a log. A million instructions make a log of 68 MB; its fault is near one of its ends."""
MESSAGE_MAX = 1_000
"""Characters of an essential line: the longest in tests/explain/logs has 254. Patterns with two `.*` see no more."""
LINE_MAX = 500
"""Characters of any other line that is compared or shown; the longest C line here has 123."""
OWN_MAX = 64 << 10
"""Characters of a C text or script; the longest in this repository has about 10,000."""
OWN_LINES_MAX = 2_000
"""Lines of it. To align two texts takes time in proportion to the product of their lines."""
COMPLAINTS_MAX = 200
"""Complaints of one log that are looked at; clang itself stops after 20 errors."""
DIGITS = r"\d{1,9}"
"""A pattern for an instruction's or a line's number. `int` raises ValueError from 4,301 digits on."""
WORK_MAX = 2_000_000
"""Steps of one search for what is most similar: about 0.1 s. Two lines of 80 characters take some 40,000."""
ALIGNING_MAX = 16_000_000
"""Steps of one alignment by all lines: about 0.5 s, enough for some 700 lines of C."""
STEPS_BACK_MAX = 8
"""Lines before a refused instruction's that are looked at for one that the learner wrote."""


def message(text: str) -> str:
    """As much of an essential line as is looked at."""
    return text[:MESSAGE_MAX]


def line(text: str) -> str:
    """As much of any other line as is looked at."""
    return text[:LINE_MAX]


def source(text: str) -> str:
    """As much of a C text or a script as is looked at; its lines keep their numbers."""
    rows = text[:OWN_MAX].splitlines(keepends=True)[:OWN_LINES_MAX]
    return "".join(row if len(row) <= LINE_MAX else f"{line(row)}\n" for row in rows)
