"""What a test file says it holds, read from its syntax tree: no line of it is executed or compiled."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

SIZE_MAX = 1024 * 1024
"""A larger file is not read: the longest test file of the course has 20 KiB."""

CASES_MAX = 1000
"""Tests of one run, parametrised cases counted."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class TestFunction:
    """A test function as pytest would collect it."""

    __test__ = False  # pytest: this class is not a test

    name: str
    """`test_x` or `TestY::test_x`: the node id after the file."""
    step: int | None
    """The number in its `pytest.mark.step(n)`, or in the mark of the nearest class around it."""
    line: int
    """The line of its `def`."""


def functions(source: bytes) -> tuple[TestFunction, ...]:
    """The test functions of a file, in pytest's order; () for a file that cannot be read."""
    tree = parse(source)
    return tuple(_walk(tree.body, "", None)) if tree else ()


def parse(source: bytes) -> ast.Module | None:
    """The syntax tree of a file, or None if it has none; never raises, whatever the bytes are."""
    if len(source) > SIZE_MAX:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # "invalid escape sequence" must not depend on a filter
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def definitions(body: list[ast.stmt]) -> list[Definition]:
    """The test functions and classes among a module's or class's statements.

    The rules are those of pytest's `PyCollector` with its default settings: `test*`, `Test*`, no fixtures, nothing
    where `__test__` is false, no class with a constructor. A name keeps its first place and its last meaning, as in
    a namespace. What is inherited, imported or defined under an `if` is not seen.
    """
    if _switched_off(body):
        return []
    last: dict[str, Definition] = {}
    for node in body:
        if isinstance(node, Definition):
            last[node.name] = node
    return [node for node in last.values() if _is_test(node)]


def mark_name(decorator: ast.expr) -> str | None:
    """`x` for the decorator `pytest.mark.x` or a call of exactly that, else None."""
    match decorator.func if isinstance(decorator, ast.Call) else decorator:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="pytest"), attr="mark"), attr=name):
            return name
    return None


def _walk(body: list[ast.stmt], prefix: str, step: int | None) -> Iterator[TestFunction]:
    for node in definitions(body):
        own = _step(node)
        found = step if own is None else own
        if isinstance(node, ast.ClassDef):
            yield from _walk(node.body, f"{prefix}{node.name}::", found)
        else:
            yield TestFunction(prefix + node.name, found, node.lineno)


def _step(node: Definition) -> int | None:
    """The number in the `step` mark nearest to the `def`; pytest applies that one first."""
    for decorator in reversed(node.decorator_list):
        match decorator:
            case ast.Call(args=[ast.Constant(value=int(number)), *_]) if mark_name(decorator) == "step":
                return None if isinstance(number, bool) else number
    return None


def _is_test(node: Definition) -> bool:
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") and not _has_constructor(node.body)
    return node.name.startswith("test") and not any(_is_fixture(decorator) for decorator in node.decorator_list)


def _has_constructor(body: list[ast.stmt]) -> bool:
    return any(isinstance(node, Function) and node.name in ("__init__", "__new__") for node in body)


def _is_fixture(decorator: ast.expr) -> bool:
    match decorator.func if isinstance(decorator, ast.Call) else decorator:
        case ast.Attribute(value=ast.Name(id="pytest"), attr="fixture"):
            return True
    return False


def _switched_off(body: list[ast.stmt]) -> bool:
    """Whether the last `__test__ = …` of a body is a false literal."""
    off = False
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__test__")], value=ast.Constant(value=value)):
                off = not value
    return off
