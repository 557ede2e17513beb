"""A learner's own tool: written once, never over anything, and never run on the host."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from labs import AgentLab, FakeLab
from typer.testing import CliRunner

from harness import cli
from harness.course import catalog, specification
from harness.errors import UsageError
from harness.protocol.messages import Reported
from harness.pytest_side import hooks
from harness.run import request, session
from harness.tools import making, tool

TEMPLATES = {"loader.py", "file_deletes.bpf.c", "test_file_deletes.py"}
LOADER = """\
def load():
    raise NotImplementedError("first say what")
"""


def make(course, name="file-deletes"):
    return making.make(catalog.Course.load(course.root), name)


def test_a_new_tool_has_three_files(course):
    made = make(course)
    assert {path.name for path in made.folder().iterdir()} == TEMPLATES
    assert made.folder() == course.root / "tools/file-deletes"
    [test] = specification.functions(made.tests.read_bytes())
    assert (test.name, test.step) == ("test_it_sees_what_a_process_does", None)
    for name in ("loader.py", "test_file_deletes.py"):
        assert "{{" not in ast.unparse(ast.parse((made.folder() / name).read_text()))
    assert "int file_deletes(struct pt_regs *ctx)" in made.folder().joinpath("file_deletes.bpf.c").read_text()


@pytest.mark.parametrize("name", ["", "A", "a/b", "../a", "a_b", "a--b", "-a", "a-", "é", "a" * 41, "a\n", "1a", "."])
def test_a_name_that_is_no_tools_is_refused(course, name):
    with pytest.raises(UsageError, match="no name for a tool"):
        make(course, name)
    assert not (course.root / "tools").exists()


def test_a_lessons_name_is_refused(course):
    with pytest.raises(UsageError, match="'small' is lesson 90"):
        make(course, "small")


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_is_not_overwritten(course, there):
    path = course.root / "tools/mine"
    path.parent.mkdir()
    match there:
        case "folder":
            path.mkdir()
        case "file":
            path.write_text("mine")
        case "link":
            path.symlink_to(course.root / "nowhere")
    before = sorted(course.root.rglob("*"))
    with pytest.raises(UsageError, match="is there already; nothing was written"):
        make(course, "mine")
    assert sorted(course.root.rglob("*")) == before


def test_tools_that_are_a_link_are_refused(course):
    (course.root / "elsewhere").mkdir()
    (course.root / "tools").symlink_to(course.root / "elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        make(course, "mine")
    assert list((course.root / "elsewhere").iterdir()) == []


def test_the_command_shows_its_files_and_what_is_next(course, monkeypatch):
    monkeypatch.chdir(course.root)
    seen = CliRunner().invoke(cli.app, ["new", "file-deletes"])
    assert seen.exit_code == 0
    assert set(seen.stdout.splitlines()[:3]) == {f"tools/file-deletes/{name}" for name in TEMPLATES}
    assert "next: pytest -c pyproject.toml tools/file-deletes" in seen.stdout


def pytest_in(folder, *arguments):
    """Exit status and output of pytest in a folder, up to its list of tests."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def pytest_there(course, *arguments):
    """The same in a checkout, one test a line."""
    return pytest_in(course.root, "-q", *arguments)


@pytest.fixture
def evil(course):
    """Text that shows that it ran here."""
    mark = course.root / "it-ran"
    yield f"import pathlib\npathlib.Path({str(mark)!r}).touch()\ndef test_bad(): pass\n"
    assert not mark.exists()


def test_collecting_runs_nothing_of_a_tool(course, evil):
    made = make(course)
    for name in ("loader.py", "test_file_deletes.py", "test_more.py", "__init__.py"):
        (made.folder() / name).write_text(evil)
    code, screen = pytest_there(course, "tools/file-deletes")
    assert code == 0
    assert screen.count("::test_bad") == 2


def test_a_conftest_of_a_tool_is_refused(course, evil):
    (make(course).folder() / "conftest.py").write_text(evil)
    code, screen = pytest_there(course, "tools/file-deletes")
    assert code == 4
    assert "it would run outside the lab" in screen


def test_a_test_that_is_no_tools_is_refused(course, evil):
    folder = make(course).folder()
    (folder / "deeper").mkdir()
    (folder / "deeper/test_bad.py").write_text(evil)
    (folder.parent / "test_bad.py").write_text(evil)
    for path in ("tools/file-deletes/deeper/test_bad.py", "tools/test_bad.py"):
        code, screen = pytest_there(course, path)
        assert (code, "in tools/ NAME/test_*.py beside a loader.py" in screen) == (4, True), path


def test_a_configuration_in_a_tool_is_refused(course, evil):
    folder = make(course).folder()
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p evil\n")
    (folder / "evil.py").write_text(evil.replace("def test_bad(): pass", ""))
    code, screen = pytest_there(course, "tools/file-deletes", "-c", "tools/file-deletes/pytest.ini")
    assert code != 0
    assert "evil" not in os.listdir(course.root)
    del screen


def test_tools_outside_a_checkout_are_pytests_own(tmp_path):
    (tmp_path / "tools/mine").mkdir(parents=True)
    (tmp_path / "tools/mine/loader.py").touch()
    (tmp_path / "tools/mine/test_mine.py").write_text("def test_one(): pass\n")
    code, screen = pytest_in(tmp_path, "--verbose", "tools/mine")
    assert (code, "<Module test_mine.py>" in screen, "LessonModule" in screen) == (0, True, False)


def test_a_tools_tests_are_collected_as_a_lessons_are(course):
    make(course)
    code, screen = pytest_in(course.root, "--verbose", "tools")
    assert (code, "<LessonModule test_file_deletes.py>" in screen) == (0, True)


def test_a_tools_test_runs_where_a_lessons_does(course):
    made = make(course)
    (made.folder() / "loader.py").write_text(LOADER)
    found = hooks.lesson_of(made.tests)
    assert found == made
    asked = request.of_lesson(found, "lessons")
    assert asked.code == made.folder()
    events = list(session.run(AgentLab(), asked))
    calls = [one for one in events if isinstance(one, Reported) and one.when == "call"]
    assert [(one.outcome, one.facts.message) for one in calls] == [("failed", "first say what")]


def test_run_knows_a_tool_by_its_name(course, monkeypatch):
    from harness.cli import learn
    from harness.learner import relay

    made = make(course)
    ran = []
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(learn, "opened", lambda name: FakeLab())
    monkeypatch.setattr(relay, "run", lambda lab, argv, **more: ran.append((argv, more)) or 0)
    seen = CliRunner().invoke(cli.app, ["run", "file-deletes", "--", "-p", "1"])
    assert seen.exit_code == 0, seen.exception
    [(argv, more)] = ran
    assert argv[-3:] == [str(made.folder() / "loader.py"), "-p", "1"]
    assert {path.name for path in more["files"]} == TEMPLATES


def test_a_lesson_is_found_where_no_tool_has_its_name(course, monkeypatch):
    from harness.cli import options

    monkeypatch.chdir(course.root)
    assert options.pick_own("small").name == "90-small"
    assert tool.find(course.root, "../lessons/90-small") is None
    assert Path(make(course).folder()).name == options.pick_own("file-deletes").name
