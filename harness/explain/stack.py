"""Which variable of a function takes most of the stack, as far as its text shows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.explain import lines

ARRAY = re.compile(r"\b(?:struct\s+)?\w+\s+\*?\w+\s*\[\s*(\w+)\s*\]|\bstruct\s+\w+\s+\w+\s*(?:=|;)")


DEFINED = re.compile(r"#define\s+(\w+)\s+(\d\w*)")
NUMBER = re.compile(r"(0[xX][0-9a-fA-F]{1,8})|(0[0-7]{0,9})|([0-9]{1,9})")
"""As C writes them: hexadecimal, octal, decimal."""


def largest(own: str, first: int) -> int:
    """The line of the function that takes most of the stack: an array's, as far as its length can be read."""
    best, where, rows = 0, first, own.splitlines()
    defined = {name: value for name, text in DEFINED.findall(own) if (value := _number(text)) is not None}
    sizes = {name: _size(body, defined) for name, body in reversed([*lines.structures(own)])}
    for line in lines.body(own, first):
        for found in ARRAY.finditer(rows[line - 1]):
            size = _length(found[1], defined) if found[1] else sizes.get(found[0].split()[1], 1)
            if size > best:
                best, where = size, line
    return where


def largest_field(own: str, structure: str) -> str:
    """The longest array of a structure, by name; empty where it has none."""
    defined = {name: value for name, text in DEFINED.findall(own) if (value := _number(text)) is not None}
    body = next((body for name, body in lines.structures(own) if name == structure), "")
    arrays = re.findall(r"\b(\w+)\s*\[\s*(\w+)\s*\]", body)
    return max(arrays, key=lambda one: _length(one[1], defined), default=("", ""))[0]


def _size(body: str, defined: Mapping[str, int]) -> int:
    """The length of the arrays in a structure, roughly its size."""
    return 1 + sum(_length(one, defined) for one in re.findall(r"\[\s*(\w+)\s*\]", body))


def _length(text: str, defined: Mapping[str, int]) -> int:
    """An array's length as it is written; 0 if it cannot be read."""
    value = _number(text)
    return defined.get(text, 0) if value is None else value


def _number(text: str) -> int | None:
    """The value of an integer constant; None where it is none, or is too large for an array."""
    found = NUMBER.fullmatch(text)
    return int(text, {1: 16, 2: 8, 3: 10}[found.lastindex or 0]) if found else None
