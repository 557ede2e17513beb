"""What the learner's C text declares: maps with their types, variables, where a variable's value comes from.

Patterns, not a parser: they read what a program of one file usually looks like, and find nothing in what does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.explain import limits, lines

MAP = re.compile(
    r"\bBPF_(?P<kind>HASH|LRU_HASH|PERCPU_HASH|ARRAY|PERCPU_ARRAY|HISTOGRAM|TABLE|QUEUE|STACK|\w+)\s*"
    r"\(\s*(?P<given>[^()\n]{1,200}(?:\([^()\n]{0,80}\)[^()\n]{0,80})?)\)"
)
SIZES = {
    "u8": 1, "s8": 1, "char": 1, "bool": 1, "u16": 2, "s16": 2, "short": 2, "u32": 4, "s32": 4, "int": 4, "pid_t": 4,
    "uid_t": 4, "gid_t": 4, "unsigned int": 4, "unsigned": 4, "u64": 8, "s64": 8, "long": 8, "unsigned long": 8,
    "long long": 8, "unsigned long long": 8, "size_t": 8,
}  # fmt: skip
STORED = re.compile(r"\b(?P<map>\w+)\s*\.\s*(?P<method>lookup\w*|update|insert|delete|increment)\s*\((?P<given>[^;]*)")
"""A map's method, and what it is given."""
ORIGIN = r"(?P<call>(?P<map>\w+)\s*\.\s*(?P<method>lookup\w*|ringbuf_reserve)\s*\([^;\n]{0,200}\))"
TYPE = r"(?:const\s+)?(?:struct\s+\w+|unsigned(?:\s+(?:int|long|long\s+long|char|short))?|long\s+long|\w+)"
FIELDS_MAX = 12
"""Fields of a structure that are named."""
LITERAL = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|//[^\n]*|/\*(?:(?!\*/)[^\n])*\*/")
"""Strings and comments of one line."""


@dataclass(frozen=True)
class Map:
    """One map's declaration."""

    name: str
    line: int
    key: str
    leaf: str
    text: str


@dataclass(frozen=True)
class Variable:
    """A variable, as it is declared in a function."""

    name: str
    type: str
    pointer: bool
    line: int
    length: str = ""
    """Of an array, as it is written."""
    value: str = ""
    """What it begins with."""


@dataclass(frozen=True)
class Origin:
    """Where a pointer comes from."""

    name: str
    call: str
    map: str
    method: str
    line: int


def code(row: str) -> str:
    """A line with its strings and comments blanked, as long as before."""
    return LITERAL.sub(lambda found: " " * len(found[0]), limits.line(row))


def maps(own: str) -> dict[str, Map]:
    """The maps of a text, by name; types as BCC takes them where they are left out."""
    found: dict[str, Map] = {}
    for one in MAP.finditer(own):
        kind, given = one["kind"], [part.strip() for part in one["given"].split(",")]
        name, key, leaf = given[0], "u64", "u64"
        if kind == "TABLE" and len(given) >= 4:
            key, leaf, name = given[1:4]
        elif kind in ("ARRAY", "PERCPU_ARRAY"):
            key, leaf = "int", given[1] if len(given) > 1 else leaf
        elif kind in ("QUEUE", "STACK"):
            key, leaf = "", given[1] if len(given) > 1 else leaf
        elif kind == "HISTOGRAM":
            key = given[1] if len(given) > 1 else "int"
        elif kind in ("HASH", "LRU_HASH", "PERCPU_HASH"):
            key, leaf = given[1] if len(given) > 1 else key, given[2] if len(given) > 2 else leaf
        else:
            key = leaf = ""
        found[name] = Map(name, own.count("\n", 0, one.start()) + 1, key, leaf, " ".join(one[0].split()))
    return found


def function_of(own: str, line: int) -> range:
    """The lines of the function that `line` is in."""
    rows = own.splitlines()
    first = next((n for n in range(min(line, len(rows)), 0, -1) if re.match(r"[A-Za-z_].*[^;]\s*$", rows[n - 1])), 1)
    return lines.body(own, first)


def variable(own: str, name: str, line: int) -> Variable | None:
    """The variable `name` as the function around `line` declares it."""
    pattern = re.compile(
        rf"(?:^|[;{{(,])\s*(?P<type>{TYPE})\s+(?P<star>\*\s*)?{re.escape(name)}\s*"
        r"(?:\[\s*(?P<length>\w+)\s*\])?\s*(?P<end>[=;,)])(?P<value>[^;\n]{0,200})"
    )
    rows = own.splitlines()
    for number in function_of(own, line):
        if number > line:
            break
        found = pattern.search(code(rows[number - 1]))
        if found and found["type"] not in ("return", "else", "goto", "case"):
            value = found["value"].strip() if found["end"] == "=" else ""
            kind = " ".join(found["type"].split())
            return Variable(name, kind, bool(found["star"]), number, found["length"] or "", value)
    return None


def origin(own: str, name: str, line: int) -> Origin | None:
    """The lookup or reservation that `name` got its value from last, at or above `line`."""
    pattern = re.compile(rf"\b{re.escape(name)}\s*=\s*(?:\([\w\s*]+\)\s*)?{ORIGIN}")
    rows = own.splitlines()
    for number in reversed([n for n in function_of(own, line) if n <= line]):
        if found := pattern.search(code(rows[number - 1])):
            call = limits.line(rows[number - 1])[found.start("call") : found.end("call")]
            return Origin(name, " ".join(call.split()), found["map"], found["method"], number)
    return None


def pointer_key(own: str) -> tuple[int, str, str, Map] | None:
    """Line, call and pointer where a map's method is given the address of a pointer to the key; and the map.

    The pointer's own 8 bytes become the key. A map that is keyed by pointers is none of these.
    """
    tables = maps(own)
    for number, row in enumerate(own.splitlines(), 1):
        found = STORED.search(code(row))
        table = tables.get(found["map"]) if found else None
        given = re.match(r"\s*&\s*(\w+)\s*[,)]", found["given"]) if found else None
        one = variable(own, given[1], number) if given and table else None
        if found and table and one and one.pointer and one.type == table.key:
            return number, f"{found['map']}.{found['method']}", one.name, table
    return None


def size(kind: str) -> int | None:
    """The bytes of a plain type."""
    return SIZES.get(kind.replace("__", "").removeprefix("const ").strip())


def length(own: str, name: str) -> tuple[str, int] | None:
    """How many elements the array `name` has, as written, and the line of its declaration; None if several differ."""
    found = {
        (one[1], own.count("\n", 0, one.start()) + 1)
        for one in re.finditer(rf"\b\w+\s+{re.escape(name)}\s*\[\s*(\w+)\s*\](?:\s*\[\s*\w+\s*\])?\s*[;=]", own)
    }
    return next(iter(found)) if len({text for text, _ in found}) == 1 else None


def number(own: str, text: str) -> int | None:
    """The value of an array's length, which may be a #define."""
    defined = re.search(rf"^\s*#\s*define\s+{re.escape(text)}\s+(\d{{1,9}})\b", own, re.MULTILINE)
    plain = re.fullmatch(r"[0-9]{1,9}", text)
    return int(text) if plain else int(defined[1]) if defined else None


def head(own: str, line: int) -> int:
    """The line in which the function around `line` begins."""
    return function_of(own, line)[0]


def indent(row: str) -> int:
    """How many characters stand before a row's first word."""
    return len(row) - len(row.lstrip())


def line_of(own: str, found: re.Match[str]) -> int:
    """The line that a match begins in."""
    return own.count("\n", 0, found.start()) + 1


def defined(own: str, name: str) -> tuple[str, int] | None:
    """What a #define gives a name, up to the first space, and its line."""
    found = re.search(rf"^[ \t]*#[ \t]*define[ \t]+{re.escape(name)}[ \t]+(\S+)", own, re.MULTILINE)
    return (found[1], line_of(own, found)) if found else None


def structures(own: str) -> dict[str, int]:
    """The structures that a text declares, each with its line."""
    found = re.finditer(r"\bstruct\s+(\w+)\s*\{", own)
    return {one[1]: line_of(own, one) for one in found}


def fields(body: str) -> str:
    """The names of a structure's first fields."""
    names = re.findall(r"\b(\w+)\s*(?:\[[^\[\]]*\]\s*)?;", body)
    return ", ".join([*names[:FIELDS_MAX], *(["…"] if len(names) > FIELDS_MAX else [])])
