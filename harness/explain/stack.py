"""Which variable of a function takes most of the stack, as far as its text tells."""

from __future__ import annotations

import re

from harness.explain import lines

ARRAY = re.compile(r"\b(?:struct\s+)?\w+\s+\*?\w+\s*\[\s*(\w+)\s*\]|\bstruct\s+\w+\s+\w+\s*(?:=|;)")


def largest(own: str, first: int) -> int:
    """The line of the function that takes most of the stack: an array's, as far as its length can be read."""
    best, where, rows = 0, first, own.splitlines()
    defined = {name: int(value, 0) for name, value in re.findall(r"#define\s+(\w+)\s+(\d\w*)", own)
               if re.fullmatch(r"0x[0-9a-f]+|\d+", value)}  # fmt: skip
    for line in lines.body(own, first):
        for found in ARRAY.finditer(rows[line - 1]):
            length = found[1] or ""
            size = int(length) if length.isdigit() else defined.get(length, 1 if not length else 0)
            if not length:
                size = _struct_size(own, found[0], defined)
            if size > best:
                best, where = size, line
    return where


def _struct_size(own: str, declaration: str, defined: dict[str, int]) -> int:
    """The length of the arrays in a structure, roughly its size."""
    name = declaration.split()[1]
    found = re.search(rf"struct\s+{re.escape(name)}\s*\{{(.*?)\}}", own, re.DOTALL)
    if not found:
        return 1
    lengths = re.findall(r"\[\s*(\w+)\s*\]", found[1])
    return 1 + sum(int(one) if one.isdigit() else defined.get(one, 0) for one in lengths)
