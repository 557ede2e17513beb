"""Leaves out what pytest adds below an assertion's sentence, where that sentence says it all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

ASSERT = re.compile(r"^assert (?P<expression>.*)$", re.MULTILINE)
"""Begins what pytest adds below an assertion's own message (_pytest/assertion/rewrite.py in pytest 9.2)."""
WHERE = re.compile(r"^ +\+ +(?:where|and) .*$", re.MULTILINE)
VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|0x[0-9a-f]+|\d+(?:\.\d+)?")
"""A string or a number, as repr() spells it."""


def alone(message: str) -> str:
    """The sentence above pytest's lines; the whole message where there is none."""
    found = ASSERT.search(message)
    return (message[: found.start()].rstrip() if found else "") or message


def without_repetition(message: str) -> str:
    """The sentence alone, if it holds every value that was compared; else the whole message.

    A list or the like has to be in the sentence as it is: its values alone do not say the same.
    """
    found, sentence = ASSERT.search(message), alone(message)
    if found is None or sentence == message:
        return message
    try:
        values = list(_values(found["expression"]))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it may hold an object's repr, or be cut
        return message
    values += [value for line in WHERE.findall(message) for value in VALUE.findall(line)]
    return sentence if all(_is_named(value, sentence) for value in values) else message


def _values(expression: str) -> Iterator[str]:
    """The literals of an expression, the outermost ones, as they are spelt."""
    left = [ast.parse(expression, mode="eval").body]
    while left:
        node = left.pop()
        if isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.Set | ast.Constant):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, bool | None)):
                yield ast.get_source_segment(expression, node) or expression
        else:
            left += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _is_named(value: str, sentence: str) -> bool:
    """Whether the value is in the sentence, as a whole; a string may be there without its quotes."""
    bare = re.sub(r"^b?(['\"])(.*)\1$", r"\2", value)
    return re.search(rf"(?<![\w.]){re.escape(bare)}(?!\w|\.\d)", sentence) is not None
