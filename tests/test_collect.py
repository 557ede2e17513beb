"""Collecting runs nothing of a lesson's folder on the host, whatever was put in there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.pytest_side import collect, trees

ROOT = Path(__file__).resolve().parent.parent
PYTEST = Path(sys.executable).with_name("pytest")
NEW = "lessons/91-new"
TOML = 'title = "New"\ntopic = "new"\nteaches = []\nneeds = []\n[[step]]\ntitle = "act"\n'
DECORATORS = [
    "pytest.mark.x[f()]",
    "pytest.mark.x(f())",
    "pytest.mark.x(f())(1)",
    "pytest.mark.x(1)(f())",
    "pytest.mark.x(1) if f() else None",
    "pytest.mark.x and f()",
    "pytest.mark.x or f()",
    "pytest.mark.x < f()",
    "pytest.mark.x(f()).y",
    "pytest.mark.x(1).with_args(f())",
    "pytest.mark.x(lambda: f())",
    "pytest.mark.x(y := f())",
    "pytest.mark.x(f'{f()}')",
    "pytest.mark.x(*f())",
    "pytest.mark.x(**f())",
    "pytest.mark.x([f() for _ in (1, 2)])",
    "pytest.mark.x(pytest.param(f()))",
    "pytest.mark.x(pytest.param(1, id=f()))",
    "pytest.mark.x(pytest.parametrize)",
    "pytest.mark._config(f())",
    "f()",
    "(f(), pytest.mark.x)[1]",
]


@pytest.fixture
def new(course):
    """A downloaded lesson beside the small one; `new.evil` writes a file that `new.ran` looks for."""
    folder = course.root / NEW
    folder.mkdir()
    (folder / "lesson.toml").write_text(TOML)
    (folder / "test_new.py").write_text("def test_one(): pass\n")
    course.write("test_small.py", "def test_one(): pass\n")
    return Download(course)


class Download:
    """A downloaded folder, and whether any of its code ran."""

    def __init__(self, course):
        self.course, self.folder = course, course.root / NEW
        self.mark = course.root / "it-ran"
        self.evil = f"import pathlib\npathlib.Path({str(self.mark)!r}).touch()\n"

    def add(self, name, text=None):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(self.evil + "def test_bad(): pass\n" if text is None else text)

    def collect(self, *arguments, cwd=".", command=(PYTEST,)):
        done = subprocess.run(
            [*command, "--collect-only", "-q", *arguments],
            cwd=self.course.root / cwd, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        found = [line for line in done.stdout.splitlines() if line.startswith("lessons/") and "::" in line]
        assert "INTERNALERROR" not in done.stdout + done.stderr
        return Collected(done.returncode, found, done.stdout + done.stderr, self.mark.exists())


class Collected:
    """What a listing showed."""

    def __init__(self, code, ids, screen, ran):
        self.code, self.ids, self.screen, self.ran = code, ids, screen, ran


ONLY_NEW = [f"{NEW}/test_new.py::test_one"]


def surrogate(tmp_path, text):
    path = tmp_path / "test_it.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return collect.surrogate(path)


def marks(thing):
    return [(mark.name, mark.args, mark.kwargs) for mark in thing.pytestmark]


@pytest.mark.parametrize("decorator", DECORATORS)
def test_no_decorator_is_executed(tmp_path, capsys, decorator):
    text = (
        f"@{decorator}\ndef test_one(a, *, b): pass\n"
        f"@{decorator}\nclass TestTwo:\n    @{decorator}\n    def test_three(self): pass\n"
    )
    module = surrogate(tmp_path, text.replace("f()", "print(1)"))
    assert [name for name in vars(module) if not name.startswith("__")] == ["test_one", "TestTwo"]
    assert marks(module.test_one) == marks(module.TestTwo) == marks(module.TestTwo.test_three) == []
    assert capsys.readouterr().out == ""


def test_decorated_tests_are_collected_and_not_run(new):
    run = new.evil.splitlines()[1]
    tests = "".join(f"@{decorator}\ndef test_{n}(): pass\n" for n, decorator in enumerate(DECORATORS))
    new.add("test_new.py", f"{new.evil}\nf = lambda *_: {run}\n{tests}")
    seen = new.collect(NEW)
    assert (seen.code, seen.ran) == (0, False), seen.screen
    assert seen.ids == [f"{NEW}/test_new.py::test_{n}" for n, _ in enumerate(DECORATORS)]


def test_literal_marks_are_kept_as_written(tmp_path):
    module = surrogate(
        tmp_path,
        "@pytest.mark.guest\n"
        "@pytest.mark.skipif('1 / 0', reason='r')\n"
        "@pytest.mark.parametrize(('a', 'b'), [(1, -2), pytest.param('x', {'y': [None]}, id='z')], ids=None)\n"
        "def test_one(a, b): pass\n",
    )
    (_, (names, values), keywords), *others = marks(module.test_one)
    assert (names, values[0], keywords) == (("a", "b"), (1, -2), {"ids": None})
    assert (values[1].values, values[1].id) == (("x", {"y": [None]}), "z")
    assert others == [("skipif", ("1 / 0",), {"reason": "r"}), ("guest", (), {})]


@pytest.mark.parametrize(
    "argument",
    [
        "{[]: 1}",
        "{{}}",
        "-" * 1500 + "1",
        "[" * 90 + "]" * 90 + "[0]",
        "1" + "+1j" * 3000,
        "b'a' 'b'",
        "pytest.param(1, id=2)",
        "pytest.param(1, marks='x')",
        "self=1",
    ],
    ids=lambda text: text[:12],
)
def test_an_odd_literal_drops_its_mark_or_is_unreadable(tmp_path, argument):
    module = surrogate(tmp_path, f"@pytest.mark.guest({argument})\ndef test_one(): pass\n")
    (name,) = (name for name in vars(module) if name.startswith("test_"))
    assert name in ("test_one", collect.BROKEN)
    assert getattr(getattr(module, name), "pytestmark", []) == []


@pytest.mark.parametrize(
    "source",
    [b"x = " + b"-" * 100_000 + b"1", b"(" * 100_000, b"\0", b"\xff", b"#" * 2_000_000, b"x = a" + b".a" * 100_000],
    ids=lambda source: ascii(source[:8]),
)
def test_a_file_that_cannot_be_parsed_is_one_item(tmp_path, source):
    module = surrogate(tmp_path, source)
    assert [name for name in vars(module) if not name.startswith("__")] == [collect.BROKEN]


@pytest.mark.parametrize("name", ["nosuchmark", "parametrise", "_private", "__class__"])
@pytest.mark.parametrize("strict", ["--strict-markers", "-Werror"])
def test_an_unknown_mark_is_no_error(new, name, strict):
    new.add("test_new.py", f"import pytest\n@pytest.mark.{name}\n@pytest.mark.step(1)\ndef test_one(): pass\n")
    assert new.collect(NEW, strict, "-m", "step").ids == ONLY_NEW


@pytest.mark.parametrize(
    "mark",
    [
        "parametrize(5)",
        "parametrize('n', 5)",
        "parametrize('n', [1], ids=[{}])",
        "parametrize('n', [0x" + "f" * 9000 + "])",
        "parametrize('m', [1])",
        "usefixtures([1])",
    ],
    ids=lambda mark: mark[:30],
)
def test_a_mark_that_pytest_refuses_fails_its_file_alone(new, mark):
    new.add("test_new.py", f"import pytest\n@pytest.mark.{mark}\ndef test_one(n): pass\n")
    seen = new.collect("lessons")
    assert (seen.code, seen.ids) == (2, ["lessons/90-small/test_small.py::test_one"])
    assert f"ERROR {NEW}/test_new.py" in seen.screen


def test_a_function_has_its_place_and_parameters(tmp_path):
    module = surrogate(
        tmp_path, "import x\n\n@x.y\n@x.z\ndef test_one(a, /, b=x, *c, d, **e): pass\ndef test_two(a, a): pass\n"
    )
    code = module.test_one.__code__
    assert (code.co_filename, code.co_firstlineno) == (str(tmp_path / "test_it.py"), 3)
    assert code.co_varnames == ("a", "b", "d")
    assert module.test_two.__code__.co_varnames == ("a",)


PLUGIN = """
import sys, types
sys.modules["debugpy"] = types.ModuleType("debugpy")  # an item's report then comes without a lab
"""


@pytest.mark.parametrize(
    "mark",
    [
        "skipif('open({mark!r}, \"w\")')",
        "xfail('open({mark!r}, \"w\")')",
        "filterwarnings('ignore::lessons.91-new.evil.Category')",
        "filterwarnings('nonsense:::::::')",
        "timeout('x')",
        "timeout()",
    ],
)
def test_no_mark_is_evaluated_when_items_are_reported(new, mark):
    new.add("evil.py")
    mark = mark.replace("{mark!r}", repr(str(new.mark)).replace("'", "\\'"))
    new.add("test_new.py", f"import pytest\n@pytest.mark.{mark}\ndef test_one(): pass\n")
    (new.course.root / "pretend.py").write_text(PLUGIN)
    seen = new.course.pytest("-p", "pretend", NEW)
    assert not new.mark.exists()
    assert seen.code == 3
    assert "workbook shell 91" in seen.failures["test_one"]


@pytest.mark.parametrize("name", ["conftest.py", "../conftest.py", "../../solutions/91-new/conftest.py"])
@pytest.mark.parametrize("arguments", [(NEW,), ("lessons", "solutions"), (), (f"{NEW}/test_new.py::test_one",)])
def test_a_conftest_is_refused_before_it_is_imported(new, name, arguments):
    new.add("lesson.toml", TOML)
    new.add(name)
    seen = new.collect(*arguments)
    assert not seen.ran
    reached = "solutions" not in name or arguments in ((), ("lessons", "solutions"))
    assert (seen.code == 4) == reached
    assert ("conftest.py: not loaded" in seen.screen) == reached


def test_a_conftest_is_refused_when_pytest_runs_beside_it(new):
    new.add("conftest.py")
    seen = new.collect(cwd=NEW)
    assert (seen.code, seen.ran) == (4, False)


def test_a_conftest_deeper_is_refused(new):
    new.add("more/test_deep/conftest.py")
    new.add("more/test_deep/test_more.py")
    for arguments in [(f"{NEW}/more",), (f"{NEW}/more/test_deep",), (f"{NEW}/more/test_deep/test_more.py",)]:
        seen = new.collect(*arguments)
        assert (seen.code, seen.ran) == (4, False)


@pytest.mark.parametrize("name", ["more/test_more.py", "more/91-new/test_more.py", "lessons/92-x/test_more.py"])
def test_deeper_folders_are_ignored_and_refused_by_name(new, name):
    new.add(name)
    new.add("lesson.toml", TOML)
    (new.folder / name).with_name("__init__.py").write_text(new.evil)
    seen = new.collect(NEW)
    assert (seen.code, seen.ids, seen.ran) == (0, ONLY_NEW, False)
    for named in (f"{NEW}/{name}", f"{NEW}/{Path(name).parent}"):
        seen = new.collect(named)
        assert (seen.code, seen.ran) == (4, False)
        assert "NN-slug/test_*.py" in seen.screen


@pytest.mark.parametrize("name", ["loader.py", "new_test.py", "test_doc.txt"])
def test_other_files_are_ignored_and_refused_by_name(new, name):
    new.add(name, f"{new.evil}\n>>> open({str(new.mark)!r}, 'w')\n" if name.endswith("txt") else None)
    seen = new.collect(NEW)
    assert (seen.code, seen.ids, seen.ran) == (0, ONLY_NEW, False)
    seen = new.collect(f"{NEW}/{name}")
    assert (seen.code, seen.ran) == (4, False)
    assert "NN-slug/test_*.py" in seen.screen


def test_doctests_are_not_looked_for(new):
    new.add("test_new.py", f'{new.evil}\ndef test_one():\n    """\n    >>> 1\n    1\n    """\n')
    new.add("loader.py")
    seen = new.collect("--doctest-modules", NEW)
    assert (seen.code, seen.ids, seen.ran) == (0, ONLY_NEW, False)


@pytest.mark.parametrize("name", ["lessons.91-new.test_new", "lessons.91-new", "short.test_new"])
@pytest.mark.parametrize("added", ["--import-mode=prepend", "-opythonpath=lessons"])
def test_a_module_of_a_tree_cannot_be_named(new, name, added):
    new.add("__init__.py")
    (new.course.root / "short").symlink_to(new.folder)
    command = (sys.executable, "-m", "pytest")
    for named in (name, name.removeprefix("lessons.")):
        seen = new.collect("--pyargs", added, named, command=command)
        assert (seen.code, seen.ran) == (4, False)


def test_the_file_that_pyargs_names_is_collected(new):
    assert new.collect("--pyargs", f"{NEW}/test_new.py").ids == ONLY_NEW


@pytest.mark.parametrize("name", ["test_\x1b[31mred.py", "test_[a].py", "test_::a.py", "test_\u202ea.py"])
def test_an_odd_name_is_ignored_and_never_printed(new, name):
    new.add(name)
    seen = new.collect(NEW)
    assert (seen.code, seen.ids, seen.ran) == (0, ONLY_NEW, False)


def test_the_name_of_a_refused_folder_is_harmless(new):
    new.add("test\x1b[31m/conftest.py")
    seen = new.collect(NEW)
    assert (seen.code, seen.ran) == (4, False)
    assert "\x1b" not in seen.screen


def test_a_test_of_too_many_cases_is_one_sentence(new):
    marks = "".join(f"@pytest.mark.parametrize('x{number}', [1, 2, 3])\n" for number in range(12))
    new.add("test_new.py", f"import pytest\n@pytest.mark.parametrize('y', 5)\n{marks}def test_one(): pass\n")
    seen = new.collect(NEW)
    assert (seen.code, seen.ids) == (4, [])
    assert "test_one has more than 1000 cases" in seen.screen


def test_a_folder_without_a_lesson_is_not_collected(new):
    new.add("test_new.py")
    (new.folder / "lesson.toml").unlink()
    seen = new.collect("lessons")
    assert (seen.code, seen.ran) == (0, False)
    assert seen.ids == ["lessons/90-small/test_small.py::test_one"]
    for named in (NEW, f"{NEW}/test_new.py"):
        seen = new.collect(named)
        assert (seen.code, seen.ran) == (4, False)
        assert "lesson.toml" in seen.screen


@pytest.mark.parametrize("name", ["odd", "new", "1-new"])
def test_a_folder_that_is_no_lessons_is_not_collected(new, name):
    new.add("test_new.py")
    new.folder.rename(new.folder.with_name(name))
    seen = new.collect("lessons")
    assert (seen.code, seen.ran, seen.ids) == (0, False, ["lessons/90-small/test_small.py::test_one"])
    seen = new.collect(f"lessons/{name}/test_new.py")
    assert (seen.code, seen.ran) == (4, False)


def test_a_lesson_that_cannot_be_read_is_one_sentence(new):
    new.add("lesson.toml", "titel = 1\n")
    seen = new.collect(NEW)
    assert (seen.code, seen.ran) == (4, False)
    assert "lesson.toml: unknown key 'titel'" in seen.screen
    assert "Traceback" not in seen.screen
    assert "hooks.py" not in seen.screen


@pytest.mark.parametrize("name", ["lesson.toml", "test_new.py"])
def test_links_and_special_files_are_not_followed(new, name):
    (new.folder / name).unlink()
    os.mkfifo(new.folder / name)
    assert new.collect("lessons").ids == ["lessons/90-small/test_small.py::test_one"]
    (new.folder / name).unlink()
    (new.folder / name).symlink_to(new.course.root / "lessons/90-small" / name.replace("new", "small"))
    assert new.collect("lessons").ids == ["lessons/90-small/test_small.py::test_one"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\naddopts = -p evil\npythonpath = .\n"),
        ("setup.cfg", "[tool:pytest]\naddopts = -p evil\npythonpath = .\n"),
        ("tox.ini", "[pytest]\naddopts = -p evil\npythonpath = .\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["-p", "evil"]\npythonpath = ["."]\n'),
        ("__init__.py", None),
        ("setup.py", None),
    ],
)
def test_a_named_configuration_keeps_others_out(new, name, text):
    new.add("evil.py")
    new.add(name, text)
    seen = new.collect("-c", "pytest.ini", NEW)
    assert (seen.code, seen.ids, seen.ran) == (0, ONLY_NEW, False), seen.screen


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\npython_files = *.py\n"),
        ("setup.cfg", "[tool:pytest]\npython_files = *.py\n"),
        ("tox.ini", "[pytest]\npython_files = *.py\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\npython_files = "*.py"\n'),
    ],
)
def test_a_lessons_own_configuration_is_refused(new, name, text):
    new.add(name, text)
    seen = new.collect(NEW)
    assert (seen.code, seen.ran) == (4, False)
    assert f"`pytest -c pyproject.toml {NEW}`" in seen.screen


def test_only_a_named_configuration_stops_a_plug_in(new):
    """pytest imports what a configuration names by `-p` before it asks any plug-in, ours too."""
    new.add("pytest.ini", "[pytest]\naddopts = -p evil\npythonpath = .\n")
    new.add("evil.py")
    beside = {"cwd": NEW, "command": [sys.executable, "-m", "pytest"]}
    seen = new.collect("-c", "../../pytest.ini", ".", **beside)
    assert (seen.code, len(seen.ids), seen.ran) == (0, 1, False)
    seen = new.collect(".", **beside)
    assert (seen.code, seen.ids, seen.ran) == (4, [], True)
    assert f"`pytest -c pyproject.toml {NEW}`" in seen.screen


def test_a_package_is_a_plain_folder(new):
    new.add("__init__.py")
    new.add("../__init__.py")
    seen = new.collect("lessons")
    assert (seen.code, seen.ran, len(seen.ids)) == (0, False, 2)


def test_a_link_into_a_tree_is_that_tree(new):
    new.add("more/test_more.py")
    new.add("conftest.py")
    (new.course.root / "way").symlink_to(new.folder)
    for named in ("way", "way/more", "way/more/test_more.py"):
        seen = new.collect(named)
        assert (seen.code, seen.ran) == (4, False)


def place(path):
    found = trees.place(path)
    return found and (found.tree, "/".join(found.below))


def test_a_path_is_placed_in_the_outermost_tree(tmp_path):
    root = tmp_path / "lessons/work"
    for name in ("lessons/91-new/lessons", "lessons/91-new/solutions", "solutions", "tests"):
        (root / name).mkdir(parents=True)
    tree = root / "lessons"
    assert place(root / "tests/test_x.py") is None
    assert place(root) is None
    assert place(tree) == (tree, "")
    assert place(tree / "91-new/test_x.py") == (tree, "91-new/test_x.py")
    assert place(tree / "91-new/lessons/x.py") == (tree, "91-new/lessons/x.py")
    assert place(root / "solutions/x.py") == (root / "solutions", "x.py")


def test_a_downloaded_tree_alone_is_a_tree(tmp_path):
    folder = tmp_path / "lessons/91-new"
    for name in ("lessons", "solutions"):
        (folder / name).mkdir(parents=True)
    assert place(folder / "test_x.py") == (tmp_path / "lessons", "91-new/test_x.py")
    assert place(tmp_path / "lessons/x/test_x.py") == (tmp_path / "lessons", "x/test_x.py")


def test_this_checkout_is_one_wherever_it_lies(tmp_path, monkeypatch):
    root = tmp_path / "lessons/01-mine"
    for name in ("lessons", "solutions", "tests"):
        (root / name).mkdir(parents=True)
    monkeypatch.setattr(trees, "HOME", root)
    assert place(root / "tests/test_x.py") is None
    assert place(root / "lessons/02-x/a.py") == (root / "lessons", "02-x/a.py")


def test_documented_commands_name_the_configuration():
    pages = "\n".join(path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
    code = re.findall(r"```.*?```|`[^`]+`", pages, re.DOTALL)
    commands = [found for text in code for found in re.findall(r"\bpytest\s[^`]*lessons/[^`\s]*", text)]
    assert len(commands) > 3
    assert [one for one in commands if not one.startswith("pytest -c pyproject.toml ")] == []


def test_naming_the_configuration_changes_no_node_id():
    def listed(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", *arguments, "lessons"],
            cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout.splitlines()

    def header(lines):
        return [line for line in lines if line.startswith(("rootdir", "configfile"))]

    ids = listed("-q")[:-2]
    assert ids[0] == "lessons/00-setup/test_setup.py::" + ids[0].split("::")[1]
    assert ids == listed("-q", "-c", "pyproject.toml")[:-2]
    assert header(listed()) == header(listed("-c", "pyproject.toml"))
