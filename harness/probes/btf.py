"""The types of a kernel's functions, read from its BTF (Documentation/bpf/btf.rst, Linux 6.12).

The bytes are a guest's: each place is checked before it is read, and a type that leads back to itself is an error.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MAGIC = 0xEB9F
HEADER = struct.Struct("<HBBIIIII")
TYPE = struct.Struct("<III")
PARAM = struct.Struct("<II")
ARRAY = struct.Struct("<III")
NESTED_MAX = 32
"""Types inside of types; C programs have a handful."""
NAME_MAX = 512
"""Bytes; the kernel's own limit (KSYM_NAME_LEN, include/linux/kallsyms.h)."""
PARAMS_MAX = 64
SAME_MAX = 100
"""Functions of one name that are compared; in Debian's kernels no name has as many."""

INT, PTR, ARRAY_OF, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO = range(1, 14)
VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(14, 20)
MORE = {INT: 4, ARRAY_OF: 12, VAR: 4, DECL_TAG: 4}
"""Bytes that follow a type of that kind."""
MORE_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}
"""Bytes that follow it for each of its members."""
WORDS = {STRUCT: "struct ", UNION: "union ", ENUM: "enum ", ENUM64: "enum "}
QUALIFIERS = {VOLATILE: "volatile", CONST: "const", RESTRICT: "restrict"}


class BtfError(ValueError):
    """The bytes are not BTF, or not whole."""


@dataclass(frozen=True)
class Signature:
    """What a function takes and returns, in C."""

    returns: str
    takes: tuple[str, ...]
    """Each as it would be declared: `struct inode *dir`."""


@dataclass(frozen=True)
class Btf:
    """All types of a kernel."""

    data: bytes
    types: array[int]
    """Where each begins in `data`; type 0 is void, and begins nowhere."""
    strings: int
    """Where the names begin."""

    @classmethod
    def load(cls, data: bytes) -> Btf:
        """The types in `data`; BtfError where it is something else."""
        if len(data) < HEADER.size:
            raise BtfError("too short")
        magic, _, _, header, types, types_size, strings, strings_size = HEADER.unpack_from(data)
        begin, end = header + types, header + types + types_size
        if magic != MAGIC or end > len(data) or header + strings + strings_size != len(data) or data[-1:] != b"\0":
            raise BtfError("no BTF of this byte order, or not all of it")
        found = array("I", [0])
        while begin < end:
            found.append(begin)
            kind, count = _kind(data, begin)
            begin += TYPE.size + MORE.get(kind, 0) + MORE_EACH.get(kind, 0) * count
        if begin != end:
            raise BtfError("the last type is cut")
        return cls(data, found, header + strings)

    def signatures(self, names: Iterable[str]) -> dict[str, Signature | None]:
        """Name → its signature; None for a name that several functions with different signatures have.

        A name that no function has is left out.
        """
        wanted = {name.encode(): name for name in names}
        found: dict[str, Signature | None] = {}
        same: Counter[str] = Counter()
        for at in self.types[1:]:
            if _kind(self.data, at)[0] != FUNC:
                continue
            name_at, _, prototype = TYPE.unpack_from(self.data, at)
            name = wanted.get(self._bytes(name_at))
            if name is None:
                continue
            same[name] += 1
            signature = self._signature(prototype) if same[name] <= SAME_MAX else None
            found[name] = signature if found.get(name, signature) == signature else None
        return found

    def _signature(self, number: int) -> Signature:
        at = self._place(number)
        kind, count = _kind(self.data, at)
        if kind != FUNC_PROTO or count > PARAMS_MAX:
            raise BtfError("a function without a prototype")
        params = [PARAM.unpack_from(self.data, at + TYPE.size + PARAM.size * index) for index in range(count)]
        takes = tuple(self._declared(type_, self._name(name)) if type_ else "..." for name, type_ in params)
        return Signature(self._declared(TYPE.unpack_from(self.data, at)[2], ""), takes)

    def _declared(self, number: int, inner: str, nested: int = 0) -> str:
        """`inner` declared to be of that type, as C writes it: from the name outwards."""
        if nested > NESTED_MAX or len(inner) > 4 * NAME_MAX:
            raise BtfError("a type that holds itself")
        if number == 0:
            return f"void {inner}".rstrip()
        at = self._place(number)
        kind, _ = _kind(self.data, at)
        name_at, info, of = TYPE.unpack_from(self.data, at)
        if kind == PTR:
            return self._declared(of, f"*{inner}", nested + 1)
        if kind == ARRAY_OF:
            element, _, count = ARRAY.unpack_from(self.data, at + TYPE.size)
            return self._declared(element, f"{_grouped(inner)}[{count}]", nested + 1)
        if kind == FUNC_PROTO:
            return self._declared(of, f"{_grouped(inner)}(...)", nested + 1)
        if kind in QUALIFIERS:
            if of and _kind(self.data, self._place(of))[0] == PTR:
                return self._declared(of, f"{QUALIFIERS[kind]} {inner}".rstrip(), nested + 1)
            return f"{QUALIFIERS[kind]} {self._declared(of, inner, nested + 1)}"
        if kind == TYPE_TAG:
            return self._declared(of, inner, nested + 1)
        word = WORDS.get(kind, "") if kind != FWD else ("union " if info >> 31 else "struct ")
        return f"{word}{self._name(name_at) or '(anonymous)'} {inner}".rstrip()

    def _place(self, number: int) -> int:
        if not 0 < number < len(self.types):
            raise BtfError(f"there is no type {number}")
        return self.types[number]

    def _name(self, at: int) -> str:
        return self._bytes(at).decode(errors="replace")

    def _bytes(self, at: int) -> bytes:
        begin = self.strings + at
        end = self.data.find(b"\0", begin, begin + NAME_MAX + 1)
        if end < 0:
            raise BtfError("a name without an end")
        return self.data[begin:end]


def _kind(data: bytes, at: int) -> tuple[int, int]:
    """A type's kind, and how many members it has."""
    if at + TYPE.size > len(data):
        raise BtfError("a type is cut")
    info: int = TYPE.unpack_from(data, at)[1]
    return info >> 24 & 0x1F, info & 0xFFFF


def _grouped(inner: str) -> str:
    return f"({inner})" if inner.startswith("*") else inner
