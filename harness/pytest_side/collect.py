"""Collects a lesson's tests on the host without running a line of them.

From the file's syntax tree a surrogate is built: functions with the names, parameters and places of the tests, all with
the code of an empty function in this module, and the `pytest.mark` decorators whose arguments are literals. Nothing
of the file is compiled. pytest collects the surrogate in its own way, so node ids, marks, `-k`, `-m` and parametrised
names are exactly its own.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from harness.course import specification

BROKEN = "test_file_can_be_read"
"""Name of the one item of a file with a syntax error."""


class LessonModule(pytest.Module):
    """A lesson's test file."""

    def _getobj(self) -> ModuleType:
        return surrogate(self.path)


def surrogate(path: Path) -> ModuleType:
    """A module with the shape of the test file at `path` and none of its behaviour."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    with path.open("rb") as file:
        tree = specification.parse(file.read(specification.SIZE_MAX + 1))
    if tree is None:
        setattr(module, BROKEN, _empty_function(module, BROKEN, 1, ()))
    else:
        for name, thing in _shapes(tree.body, module).items():
            setattr(module, name, thing)
    return module


def _shapes(body: list[ast.stmt], module: ModuleType) -> dict[str, Any]:
    """Name → function or class for each test in a body."""
    return {node.name: _shape(node, module) for node in specification.definitions(body)}


def _shape(node: specification.Definition, module: ModuleType) -> Any:
    if isinstance(node, ast.ClassDef):
        members = {"__module__": module.__name__, "pytestmark": _marks(node), **_shapes(node.body, module)}
        return type(node.name, (), members)
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    names = tuple(dict.fromkeys(argument.arg for argument in arguments))
    line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    function = _empty_function(module, node.name, line, names)
    function.pytestmark = _marks(node)  # type: ignore[attr-defined]
    return function


def _template() -> None:
    """The code of all tests on this side."""


def _empty_function(module: ModuleType, name: str, line: int, parameters: tuple[str, ...]) -> FunctionType:
    code = _template.__code__.replace(
        co_name=name,
        co_qualname=name,
        co_filename=str(module.__file__),
        co_firstlineno=line,
        co_argcount=len(parameters),
        co_nlocals=len(parameters),
        co_varnames=parameters,
    )
    return FunctionType(code, module.__dict__, name)


def _marks(node: specification.Definition) -> list[pytest.Mark]:
    """The marks that can be read, the nearest to the `def` first, as decorators are applied."""
    found = (_mark(decorator) for decorator in reversed(node.decorator_list))
    return [mark for mark in found if mark is not None]


def _mark(decorator: ast.expr) -> pytest.Mark | None:
    """The mark, or None if it is no literal mark or one that pytest does not know; the guest reports that."""
    name = specification.mark_name(decorator)
    if name is None or name.startswith("_"):
        return None
    call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
    try:
        arguments, keywords = _arguments(call)
        with warnings.catch_warnings(action="ignore"):
            made: pytest.MarkDecorator = getattr(pytest.mark, name)
        if name == "filterwarnings":  # pytest would import the category's module here
            return made.mark
        return made.with_args(*arguments, **keywords).mark
    except (Exception, pytest.fail.Exception):  # whatever is wrong with it is wrong with the learner's file
        return None


def _arguments(call: ast.Call) -> tuple[list[Any], dict[str, Any]]:
    """The values of a call's arguments; raises if one is no literal."""
    keywords: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise ValueError("** is no literal")
        keywords[keyword.arg] = _value(keyword.value)
    return [_value(argument) for argument in call.args], keywords


def _value(node: ast.expr) -> Any:
    """A constant, a collection of constants, or pytest.param of such."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="pytest"), attr="param")):
            arguments, keywords = _arguments(node)
            return pytest.param(*arguments, **keywords)
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
    return ast.literal_eval(node)
