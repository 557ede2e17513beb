"""A lesson uses only names of BCC that it, or one before it, teaches; and what it teaches, it uses.

Spelling: `BPF.name`, `USDT.name` for methods, `Table.name` for those of tables in Python and of maps in C, classes,
macros, helpers and flags by their name; who teaches a method has named its class. Methods that any dict, list, text or
file has as well are passed over.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.course import files
from harness.course.catalog import Course, Lesson

STUBS = Path(__file__).resolve().parents[2] / "typings" / "bcc" / "__init__.pyi"
CLASSES = ("BPF", "Table", "USDT")
ORDINARY = frozenset(name for kind in (dict, list, set, str, bytes, io.FileIO) for name in dir(kind))
"""Attributes that say nothing about whose they are."""
C_SILENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|^\s*#\s*include[^\n]*', re.DOTALL | re.MULTILINE)
C_TYPE = re.compile(r"\b(?:struct|union|enum)\s+\w+")
C_DEFINED = re.compile(r"^\s*#\s*define\s+(\w+)", re.MULTILINE)
C_NAME = re.compile(
    r"\b(?:(?:bpf|BPF|PT_REGS|TP_DATA_LOC)_\w+|(?:RAW_)?TRACEPOINT_PROBE|K(?:RET)?FUNC_PROBE|LSM_PROBE|lock_xadd)\b"
)
C_METHOD = re.compile(r"\b\w+\.(\w+)\s*\(")


@dataclass(frozen=True)
class Use:
    """A name of BCC, and where it is."""

    name: str
    path: Path
    line: int


def uses(lesson: Lesson) -> list[Use]:
    """All names of BCC in the solution."""
    found = []
    for name in lesson.edited:
        path = lesson.folder("solutions") / name
        names = in_c if path.suffix == ".c" else in_python
        found += [Use(used, path, line) for used, line in names(files.read_text(path))]
    return found


def in_c(text: str) -> Iterator[tuple[str, int]]:
    """Names and lines in a BPF program."""
    own = set(C_DEFINED.findall(text))
    code = C_TYPE.sub(_blank, C_SILENT.sub(_blank, text))
    for number, line in enumerate(code.splitlines(), 1):
        yield from ((name, number) for name in C_NAME.findall(line) if name not in own)
        yield from ((f"Table.{name}", number) for name in C_METHOD.findall(line))


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def in_python(text: str) -> Iterator[tuple[str, int]]:
    """Names and lines in a loader or a test; what only type checkers import is left out."""
    tree = ast.parse(text)
    nodes = list(_running(tree))
    modules = {a.asname or a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    own = _declared(tree)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "bcc":
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner == "bcc":
                yield node.attr, node.lineno
            elif owner not in modules and node.attr not in own | ORDINARY and node.attr in methods():
                yield methods()[node.attr], node.lineno


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and all below it, without the part under `if TYPE_CHECKING`."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _running(child)


def _declared(tree: ast.Module) -> set[str]:
    """Names of the fields and methods of the file's own classes."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {name for node in classes for name in _members(node)}


def _members(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            yield item.name
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id


@cache
def methods() -> dict[str, str]:
    """Attribute → its spelling here, for all that the type stubs of bcc declare."""
    classes = [node for node in ast.parse(STUBS.read_text()).body if isinstance(node, ast.ClassDef)]
    return {
        name: f"{node.name}.{name}"
        for node in classes
        if node.name in CLASSES
        for name in _members(node)
        if not name.startswith("_")
    }


def untaught(lesson: Lesson, course: Course) -> list[Use]:
    """The first use of each name that neither `lesson` nor one before it teaches."""
    taught = {name for other in (*course.earlier(lesson), lesson) for name in other.teaches}
    taught |= {name.partition(".")[0] for name in taught}
    first: dict[str, Use] = {}
    for use in uses(lesson):
        if use.name not in taught:
            first.setdefault(use.name, use)
    return list(first.values())


def unused(lesson: Lesson) -> list[str]:
    """Names that `lesson` claims to teach and that stand in none of its solution, tests and page."""
    paths = [lesson.folder("solutions") / name for name in lesson.edited]
    paths += [*lesson.folder().glob("test_*.py"), *([lesson.page] if files.exists(lesson.page) else [])]
    words = {word for path in paths for word in re.findall(r"\w+", files.read_text(path))}
    return [name for name in lesson.teaches if name.rpartition(".")[2] not in words]
