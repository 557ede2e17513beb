"""Imports point one way, and the guest's half imports nothing of the host's."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.course import catalog
from harness.protocol import names

HARNESS = Path(__file__).resolve().parent.parent / "harness"
GUEST_MAY = {"pytest", "_pytest", "pytest_timeout", "bcc"}
BELOW = ("harness.protocol", "harness.errors", "harness.screen", "harness.seed")
ROOMS = ("harness.tools", "harness.run", "harness.explain", "harness.course", "harness.lab", "harness.guest", *BELOW)


def modules():
    """Module name → path."""
    return {
        ".".join(path.relative_to(HARNESS.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(HARNESS.rglob("*.py"))
    }


def imports(path, *, at_import_time=False):
    """Names that a module imports; with `at_import_time` not those inside functions or for type checkers alone."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree))
    if at_import_time:
        nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_guests_half_imports_only_stdlib_pytest_and_bcc():
    for name, path in modules().items():
        if not name.startswith("harness.guest"):
            continue
        foreign = {
            found
            for found in imports(path)
            if found.split(".")[0] not in sys.stdlib_module_names | GUEST_MAY
            and not found.startswith(("harness.guest", "harness.protocol"))
        }
        assert foreign <= {"harness"}, f"{name} imports {foreign}"


@pytest.mark.parametrize(
    ("room", "may"),
    [
        ("harness.errors", ("nothing",)),
        ("harness.protocol", ("harness.protocol",)),
        ("harness.guest", ("harness.guest", "harness.protocol")),
        ("harness.guest.agent", ("harness.guest", "harness.protocol")),
        ("harness.guest.testing", ("harness.guest.testing", "harness.guest.observing", "harness.protocol")),
        ("harness.guest.observing", ("harness.guest.observing", "harness.protocol")),
        ("harness.explain", ("harness.explain", "harness.protocol")),
        ("harness.lab", ("harness.lab", "harness.protocol", "harness.errors")),
        ("harness.course", ("harness.course", "harness.errors")),
        (
            "harness.probes",
            ("harness.probes", "harness.explain.likeness", "harness.course.tables", "harness.lab", *BELOW),
        ),
        ("harness.tools", ("harness.tools", "harness.course", "harness.errors")),
        ("harness.run", ("harness.run", "harness.explain", "harness.course", "harness.lab", *BELOW)),
        ("harness.pytest_side", ("harness.pytest_side", *ROOMS)),
        ("harness.authoring", ("harness.authoring", "harness.learner.judge", "harness.learner.progress", *ROOMS)),
        ("harness.measure", ("harness.measure", "harness.authoring", "harness.learner", *ROOMS)),
        ("harness.learner", ("harness.learner", *ROOMS)),
        ("harness.page", ("harness.page", "harness.learner", *ROOMS)),
    ],
)
def test_a_room_imports_what_it_may(room, may):
    inside = {name: path for name, path in modules().items() if name == room or name.startswith(f"{room}.")}
    for name, path in inside.items():
        ours = {found for found in imports(path) if found.startswith("harness.")}
        modules_of = {found for found in ours if not any(other.startswith(f"{found}.") for other in ours)}
        bad = {found for found in modules_of if not found.startswith(may)}
        assert not bad, f"{name} imports {bad}"


def test_nothing_below_imports_the_command_line():
    for name, path in modules().items():
        if not name.startswith(("harness.cli", "harness.command")):
            assert not any(found.startswith("harness.cli") for found in imports(path)), name


def runs_code(path):
    """What a module uses to run code from a text, a file or a name that it computes, with the lines."""
    names, methods = (
        {"exec", "eval", "compile", "__import__"},
        {"import_module", "exec_module", "run_path", "run_module"},
    )
    modules_of = {"runpy", "code", "pickle", "marshal", "imp"}
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) if name in names:
                yield name, node.lineno
            case ast.Attribute(value=ast.Name(id="builtins"), attr=name) if name in names:
                yield name, node.lineno
            case ast.Attribute(attr=name) if name in methods:
                yield name, node.lineno
            case ast.ImportFrom(module=module, names=aliases):
                found = {module.split(".")[0], *(alias.name for alias in aliases)}
                yield from ((name, node.lineno) for name in found & (modules_of | methods | names))
            case ast.Import(names=aliases):
                found = {alias.name.split(".")[0] for alias in aliases}
                yield from ((name, node.lineno) for name in found & modules_of)


def test_the_host_runs_no_code_that_it_reads():
    host = {name: path for name, path in modules().items() if not name.startswith("harness.guest")}
    assert {name: found for name, path in host.items() if (found := list(runs_code(path)))} == {}


def test_the_guest_shows_that_running_code_is_noticed():
    found = {name for path in modules().values() for name, _ in runs_code(path)}
    assert {"runpy", "run_path", "import_module"} <= found


def test_there_is_no_circle():
    known = modules()
    graph = {name: {x for x in imports(path, at_import_time=True) if x in known} for name, path in known.items()}

    def visit(name, trail):
        assert name not in trail, " → ".join([*trail, name])
        for other in graph[name] - {name}:
            visit(other, [*trail, name])

    for name in graph:
        visit(name, [])


ROOM_ROW = re.compile(r"^\| (`harness/[^|]*`) \| ([^|]*) \|", re.MULTILINE)


def test_the_map_of_the_rooms_names_what_is_there():
    page = (HARNESS.parent / "docs/architecture.md").read_text()
    rows = {room: words for rooms, words in ROOM_ROW.findall(page) for room in re.findall(r"`(harness/\w+)`", rooms)}
    there = {f"harness/{path.stem}" for path in HARNESS.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert set(rows) == there - {"harness/__init__"}
    for room, words in rows.items():
        if not (HARNESS.parent / room).is_dir():
            continue
        for name in re.findall(r"`(\w+)`", words):
            assert list((HARNESS.parent / room).glob(f"{name}*")), f"{room} has no {name}"


def test_the_lab_knows_no_lessons():
    for path in (HARNESS / "lab").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if hasattr(node, "body") and isinstance(node.body, list):
                node.body = [one for one in node.body if not is_docstring(one)] or [ast.Pass()]
        assert not re.search(r"lesson", ast.unparse(tree), re.IGNORECASE), path


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_one_loop_receives_from_a_channel():
    """All others take messages from it: no other module of the host decodes frames."""
    host = {name: path for name, path in modules().items() if not name.startswith("harness.guest")}
    decoding = {
        name for name, path in host.items() if "Decoder(" in path.read_text() and name != "harness.protocol.frames"
    }
    assert decoding == {"harness.lab.channel"}


def test_course_and_protocol_spell_names_the_same():
    assert {names.LOADER, names.LEARNERS_TEST} <= set(catalog.EDITED)


def test_a_file_name_says_what_it_holds_without_its_folder():
    seen = Counter(path.name for path in HARNESS.rglob("*.py") if path.name != "__init__.py")
    again = {name for name, count in seen.items() if count > 1}
    assert not again


def test_names_of_tests_can_be_read_at_once():
    """At most 60 characters: subject, verb, condition."""
    named = {
        node.name
        for path in (HARNESS.parent / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert len(named) > 400
    assert {name for name in named if len(name) > 60} == set()


def test_newcomers_have_one_beginning():
    """README, the index and the course agree on the first lesson."""
    first = min(path.name for path in (HARNESS.parent / "lessons").iterdir() if (path / "lesson.toml").exists())
    for name in ("README.md", "docs/index.md"):
        text = (HARNESS.parent / name).read_text()
        assert re.search(r"make lesson-(\d\d)", text)[1] == first[:2], name
        assert f"{first}.md" in text, name
