"""The tests as VS Code's Python extension drives them.

Its adapters (src/client/testing/testController/pytest/ in microsoft/vscode-python) call, in the workspace's folder,

    python -m pytest -p vscode_pytest --collect-only --rootdir=FOLDER *pytestArgs
    python run_pytest_script.py --rootdir=FOLDER *pytestArgs-without-folders   → -p vscode_pytest … ABSOLUTE-ID …

and, to debug, the second one with --capture=no under debugpy. What vscode_pytest there asks of pytest, and by which
hooks, a stand-in asks here.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = """
import json, os, pathlib
import pytest

def tell(**what):
    with open(os.environ["TEST_RUN_PIPE"], "a") as pipe:
        pipe.write(json.dumps(what) + "\\n")

def absolute(nodeid, path):
    return "::".join([str(path), *nodeid.split("::")[1:]])

paths = {}
known = set()

@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_runtest_protocol(item, nextitem):
    paths[item.nodeid] = item.path
    yield

@pytest.hookimpl(hookwrapper=True, trylast=True)
def pytest_report_teststatus(report, config):
    if report.when == "call" or (report.when == "setup" and report.skipped):
        outcome = "success" if report.passed else "failure" if report.failed else "skipped"
        message = report.longreprtext if report.failed else None
        test = absolute(report.nodeid, paths[report.nodeid])
        if test not in known:  # pytest asks again for its summary
            known.add(test)
            tell(id=test, outcome=outcome, message=message)
    yield

def pytest_exception_interact(node, call, report):
    tell(error=report.longreprtext)

def pytest_internalerror(excrepr, excinfo):
    tell(error=excinfo.exconly())

def pytest_sessionfinish(session, exitstatus):
    for item in session.items if session.config.option.collectonly else ():
        parent = item.originalname if hasattr(item, "callspec") else None
        tell(found=absolute(item.nodeid, item.path), line=item.location[1] + 1, function=parent)
"""
DEBUGGED = "import sys, types; sys.modules['debugpy'] = types.ModuleType('debugpy'); import runpy; "
NAMED = ("-c", "pyproject.toml")
"""The settings name the configuration: one in a downloaded lesson's folder is then not read."""
RUN_PYTEST = "sys.argv = ['pytest', *sys.argv[1:]]; runpy.run_module('pytest', run_name='__main__')"
TEST = """\
import pytest

@pytest.mark.step(1)
@pytest.mark.parametrize("n", [1, 2])
def test_one(loader, n):
    assert loader.one(n) == 23 * n

@pytest.mark.step(1)
def test_two(loader):
    assert loader.two() == 46
"""
LOADER = 'def one(n):\n    return 23\n\ndef two():\n    raise NotImplementedError("TODO 2: return it twice")\n'


@pytest.fixture
def editor(tmp_path_factory):
    """The extension's folder on the path, and what its plug-in was told."""
    folder = tmp_path_factory.mktemp("extension")
    (folder / "vscode_pytest.py").write_text(STAND_IN)
    return folder


def drive(editor, workspace, *arguments, debugged=False):
    """Run pytest as the adapter does; what it was told, and what was printed."""
    pipe = editor / "pipe"
    pipe.unlink(missing_ok=True)
    begin = ["-c", DEBUGGED + RUN_PYTEST] if debugged else ["-m", "pytest"]
    done = subprocess.run(
        [sys.executable, *begin, "-p", "vscode_pytest", f"--rootdir={workspace}", *arguments],
        cwd=workspace, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(editor), "TEST_RUN_PIPE": str(pipe)},
    )  # fmt: skip
    told = [json.loads(line) for line in pipe.read_text().splitlines()] if pipe.exists() else []
    return told, done


@pytest.fixture
def small(course):
    course.write("test_small.py", TEST)
    course.write("loader.py", LOADER)
    (course.root / "solutions/90-small/loader.py").write_text("def two(): return 46\n")
    return course.root


def test_every_lessons_tests_are_discovered_at_their_lines(editor):
    told, done = drive(editor, ROOT, "--collect-only", *NAMED, "lessons")
    assert done.returncode == 0, done.stdout
    found = {Path(one["found"].split("::")[0]).parent.name for one in told}
    assert found == {path.parent.name for path in ROOT.glob("lessons/*/lesson.toml")}
    for one in told:
        path, name = one["found"].split("::", 1)
        lines = Path(path).read_text().splitlines()
        function = one["function"] or name.split("[")[0].split("::")[-1]
        near = lines[one["line"] - 1 : one["line"] + 8]  # the line is that of the first decorator
        assert any(line.strip().startswith(f"def {function}(") for line in near), one


def test_parameters_are_children_of_their_function(editor, small):
    told, _ = drive(editor, small, "--collect-only", "lessons")
    assert [(one["found"].split("::")[1], one["function"]) for one in told] == [
        ("test_one[1]", "test_one"),
        ("test_one[2]", "test_one"),
        ("test_two", None),
    ]


def test_a_file_that_cannot_be_parsed_is_one_item_and_no_error(editor, small, course):
    course.write("test_small.py", "def test_one(:\n")
    told, done = drive(editor, small, "--collect-only", "lessons")
    assert done.returncode == 0
    assert [one["found"].split("::")[1] for one in told] == ["test_file_can_be_read"]


def test_debugging_is_refused_with_the_way_that_works(editor, small):
    wanted = f"{small}/lessons/90-small/test_small.py::test_two"
    told, done = drive(editor, small, "--capture=no", wanted, debugged=True)
    ((test_id, outcome, message),) = [(one["id"], one["outcome"], one["message"]) for one in told]
    assert (test_id, outcome) == (wanted, "failure")
    assert "`workbook shell 90`" in message
    assert done.returncode == 3


def test_a_debugger_is_no_hindrance_to_discovery(editor, small):
    told, _ = drive(editor, small, "--collect-only", "lessons", debugged=True)
    assert len(told) == 3


@pytest.mark.guest
def test_a_click_runs_what_was_clicked_and_says_where_it_failed(editor, small):
    file = f"{small}/lessons/90-small/test_small.py"
    told, done = drive(editor, small, f"{file}::test_one[2]", f"{file}::test_two")
    assert [(one["id"], one["outcome"]) for one in told] == [
        (f"{file}::test_one[2]", "failure"),
        (f"{file}::test_two", "failure"),
    ]
    assert "assert 23 == (23 * 2)" in told[0]["message"]
    assert re.search(r"^lessons/90-small/test_small\.py:6: AssertionError$", told[0]["message"], re.MULTILINE)
    assert told[1]["message"].startswith("lessons/90-small/loader.py:5: TODO 2: return it twice")
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["devcontainer.json", "kvm/devcontainer.json"])
def test_the_devcontainer_turns_the_test_explorer_on(name):
    text = (ROOT / ".devcontainer" / name).read_text()
    settings = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))["customizations"]["vscode"]["settings"]
    assert settings["python.testing.pytestEnabled"] is True
    assert settings["python.testing.pytestArgs"] == [*NAMED, "lessons"]
    assert settings["python.defaultInterpreterPath"] == "${containerWorkspaceFolder}/.venv/bin/python"
