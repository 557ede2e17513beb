"""Finds an exception that a callback kept: ctypes lets none out, so a loader stores it where its caller looks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import FunctionType, ModuleType, TracebackType
from typing import Any

IGNORED = (type, ModuleType, FunctionType, BaseException)


def kept(values: dict[str, Any], raised: BaseException) -> tuple[str, BaseException] | None:
    """Name and exception of the first of these objects that holds one that was raised, other than `raised`."""
    for name, value in values.items():
        for attribute, held in _attributes(value):
            if isinstance(held, BaseException) and held is not raised and held.__traceback__ is not None:
                return f"{name}.{attribute}", held
    return None


def locals_of(trace: TracebackType | None, path: str) -> dict[str, Any]:
    """The variables of the functions of `path` that the exception came through."""
    found: dict[str, Any] = {}
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            found |= trace.tb_frame.f_locals
        trace = trace.tb_next
    return found


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object of the tested code holds; none of its code runs."""
    if isinstance(value, IGNORED):
        return
    with contextlib.suppress(Exception):
        yield from dict(object.__getattribute__(value, "__dict__")).items()
