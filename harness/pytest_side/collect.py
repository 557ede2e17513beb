"""Collects a lesson's tests on the host without running a line of them.

From the file's syntax tree a surrogate is made that holds only `test_*` functions without bodies and the
`pytest.mark` decorators whose arguments are literals. pytest then collects the surrogate in its own way, so node ids,
marks, `-k`, `-m` and parametrised names are exactly its own.
"""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

BROKEN = "test_file_can_be_read"
"""Name of the one item of a file with a syntax error."""


class LessonModule(pytest.Module):
    """A lesson's test file."""

    def _getobj(self) -> ModuleType:
        return surrogate(self.path)


def surrogate(path: Path) -> ModuleType:
    """A module with the shape of the test file at `path` and none of its behaviour."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError):
        tree = ast.parse(f"def {BROKEN}(): ...")
    shape = ast.Module([ast.parse("import pytest").body[0], *_shapes(tree.body)], [])
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(ast.fix_missing_locations(shape), str(path), "exec"), module.__dict__)
    return module


def _shapes(body: list[ast.stmt]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            found.append(_function(node))
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            shape = ast.ClassDef(
                name=node.name,
                bases=[],
                keywords=[],
                body=_shapes(node.body) or [ast.Pass()],
                decorator_list=_marks(node.decorator_list),
            )
            found.append(ast.copy_location(shape, node))
    return found


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    """The function with its parameters' names, its literal marks, its place, and no body."""
    arguments = [ast.arg(arg=a.arg) for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    nothing = ast.arguments(posonlyargs=[], args=arguments, kwonlyargs=[], kw_defaults=[], defaults=[])
    shape = ast.FunctionDef(
        name=node.name,
        args=nothing,
        body=[ast.copy_location(ast.Pass(), node.body[0])],
        decorator_list=_marks(node.decorator_list),
    )
    return ast.copy_location(shape, node)


def _marks(decorators: list[ast.expr]) -> list[ast.expr]:
    return [mark for mark in decorators if _is_literal_mark(mark)]


def _is_literal_mark(node: ast.expr) -> bool:
    call = node if isinstance(node, ast.Call) else None
    target = call.func if call else node
    if not ast.unparse(target).startswith("pytest.mark."):
        return False
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)] if call else []
    return all(_is_literal(argument) for argument in arguments)


def _is_literal(node: ast.expr) -> bool:
    """A constant, a collection of such, or pytest.param of such: evaluating it runs no code of the file."""
    if isinstance(node, ast.Call):
        inner = [*node.args, *(keyword.value for keyword in node.keywords)]
        return ast.unparse(node.func) == "pytest.param" and all(_is_literal(argument) for argument in inner)
    if isinstance(node, ast.List | ast.Tuple):
        return all(_is_literal(element) for element in node.elts)
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
