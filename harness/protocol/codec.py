"""Frozen dataclasses to JSON and back: types, sizes and the set of classes are checked; an unknown field is an error.

Written here because both ends need it, and the guest takes pure Python of ours and pytest's alone: msgspec and pydantic
are compiled; dacite (1.9) takes True for a number, NaN for a float and texts of any length.
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from harness.protocol.frames import WireError

T = TypeVar("T")
TAG = "is"
"""The key of an object's class."""
TEXT_MAX = 1 << 20
"""Characters of one text."""
ITEMS_MAX = 1 << 16
"""Entries of one list or mapping."""
DIGITS_MAX = 20
"""Of a number: 64 bits have at most 20."""

Check = Callable[[Any, Callable[[str], str]], Any]


def dump(message: Any) -> bytes:
    """A message, with its class, as JSON."""
    return json.dumps({TAG: type(message).__name__, **_plain(message)}, separators=(",", ":")).encode()


def load(data: bytes, known: tuple[type, ...], text: Callable[[str], str] = str) -> Any:
    """The message of one of the `known` classes in `data`; WireError in one sentence where it is none.

    `text` is applied to each text in it, so that no reader meets one that was not made visible.
    """
    try:
        value = json.loads(
            data, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a message: {str(error)[:200] or type(error).__name__}") from None
    if not isinstance(value, dict):
        raise WireError("a message is a JSON object")
    name = value.pop(TAG, None)
    cls = next((one for one in known if one.__name__ == name), None)
    if cls is None:
        raise WireError(f"no message is called {_named(name)} here")
    return _check_of(cls)(value, text)


def build(cls: type[T], value: Any, text: Callable[[str], str] = str) -> T:
    """The dataclass `cls` made from what JSON holds; WireError where that does not fit."""
    found: T = _check_of(cls)(value, text)  # type: ignore[arg-type]
    return found


def plain(value: Any) -> Any:
    """What JSON holds of a dataclass, or of a container of such."""
    return _plain(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in _names(type(value))}  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_MAX + 1:
        raise ValueError("a number is too long")
    return int(digits)


def _number(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("a number is too large")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


@cache
def _check_of(wanted: Any) -> Check:
    """The function that checks a value of JSON's against a type, and makes that type of it."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if dataclasses.is_dataclass(wanted):
        return _fields(wanted)  # type: ignore[arg-type]
    if origin is tuple:
        return _many(_check_of(parts[0])) if parts[1:] == (Ellipsis,) else _each([_check_of(one) for one in parts])
    if origin in (Mapping, dict):
        return _mapping(_check_of(parts[1]))
    if origin is typing.Literal:
        return _one_of(parts)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (one for one in parts if one is not type(None))
        return _optional(_check_of(inner))
    return {str: _text, int: _whole, float: _real, bool: _yes_or_no}[wanted]


def _text(value: Any, text: Callable[[str], str]) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise WireError(f"{_named(value)} where a text is expected")
    return text(value)


def _whole(value: Any, _: Callable[[str], str]) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 64:
        raise WireError(f"{_named(value)} where a whole number is expected")
    return value


def _real(value: Any, _: Callable[[str], str]) -> float:
    if type(value) not in (int, float):
        raise WireError(f"{_named(value)} where a number is expected")
    return float(value)


def _yes_or_no(value: Any, _: Callable[[str], str]) -> bool:
    if type(value) is not bool:
        raise WireError(f"{_named(value)} where true or false is expected")
    return value


def _one_of(words: tuple[Any, ...]) -> Check:
    def check(value: Any, _: Callable[[str], str]) -> Any:
        if not isinstance(value, str) or value not in words:
            raise WireError(f"{_named(value)} is none of {', '.join(words)}")
        return value

    return check


def _optional(inner: Check) -> Check:
    return lambda value, text: None if value is None else inner(value, text)


def _many(inner: Check) -> Check:
    def check(value: Any, text: Callable[[str], str]) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > ITEMS_MAX:
            raise WireError(f"{_named(value)} where a list is expected")
        return tuple(inner(one, text) for one in value)

    return check


def _each(inner: list[Check]) -> Check:
    def check(value: Any, text: Callable[[str], str]) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(inner):
            raise WireError(f"{_named(value)} where {len(inner)} values are expected")
        return tuple(one(part, text) for one, part in zip(inner, value, strict=True))

    return check


def _mapping(inner: Check) -> Check:
    def check(value: Any, text: Callable[[str], str]) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > ITEMS_MAX:
            raise WireError(f"{_named(value)} where an object is expected")
        return {_text(name, text): inner(one, text) for name, one in value.items()}

    return check


def _fields(cls: type) -> Check:
    hints = typing.get_type_hints(cls)
    checks = {field.name: _check_of(hints[field.name]) for field in dataclasses.fields(cls)}
    due = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def check(value: Any, text: Callable[[str], str]) -> Any:
        if not isinstance(value, dict):
            raise WireError(f"{_named(value)} where {cls.__name__} is expected")
        if strange := value.keys() - checks.keys():
            raise WireError(f"{cls.__name__} has no {_named(sorted(strange)[0])}")
        if lacking := due - value.keys():
            raise WireError(f"{cls.__name__} without {sorted(lacking)[0]}")
        return cls(**{name: checks[name](one, text) for name, one in value.items()})

    return check


def _named(value: Any) -> str:
    return reprlib.repr(value)
