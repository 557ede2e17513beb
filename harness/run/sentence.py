"""Leaves out pytest's own `assert …` line where the sentence above it says the same."""

from __future__ import annotations

import re

ASSERT = re.compile(r"^assert\b", re.MULTILINE)
"""Begins what pytest adds below an assertion's own message (_pytest/assertion/rewrite.py in pytest 9.2)."""
WHERE = re.compile(r"^ +\+ +(where|and) ")
VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|0x[0-9a-f]+|\d+(?:\.\d+)?")
"""A string or a number, as repr() spells it."""


def without_repetition(message: str) -> str:
    """`message` without pytest's lines, if a sentence precedes them and names every value in them.

    A comparison that pytest explains further, by a diff say, stays whole.
    """
    found = ASSERT.search(message)
    if found is None or not (sentence := message[: found.start()].rstrip()):
        return message
    added = message[found.start() :].splitlines()
    if any(not WHERE.match(line) for line in added[1:]):
        return message
    values = {value.strip("'\"") for line in added for value in VALUE.findall(line)}
    return sentence if all(_is_named(value, sentence) for value in values) else message


def _is_named(value: str, sentence: str) -> bool:
    """Whether the value is in the sentence, as a whole; a string may stand there without its quotes."""
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w]|\.\d)", sentence) is not None
