"""How make ends: quietly where a lesson is not done yet, with an error where anything else went wrong."""

import shutil
import subprocess

import pytest
from test_commands import EVERY_COMMAND, ROOT


@pytest.fixture
def make(tmp_path):
    """Runs a target of the Makefile with a `workbook` that exits with a given code."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("harness/setup.sh", ".venv/bin/workbook"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "harness/setup.sh").touch()

    def run(target, code):
        program = tmp_path / ".venv/bin/workbook"
        program.write_text(f'#!/bin/sh\necho "$@"\nexit {code}\n')
        program.chmod(0o755)
        return subprocess.run(["make", target], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize("target", ["lesson-01", "compare-01"])
def test_a_lesson_that_is_not_done_ends_make_quietly(make, target):
    seen = make(target, 1)
    assert (seen.returncode, seen.stderr) == (0, "")
    assert seen.stdout.split()[-1] == "01"


@pytest.mark.parametrize("target", ["lesson-01", "compare-01"])
@pytest.mark.parametrize("code", [2, 3, 130])
def test_a_fault_fails_make(make, target, code):
    seen = make(target, code)
    assert seen.returncode == 2
    assert f"Error {code}" in seen.stderr


def test_a_reference_that_is_not_green_fails_make(make):
    assert make("solution-01", 1).returncode == 2


def test_the_doctor_has_one_name(make):
    assert make("doctor", 0).stdout == "doctor\n"
    assert "No rule to make target" in make("check", 0).stderr
    assert ("doctor",) in EVERY_COMMAND
    assert ("check",) not in EVERY_COMMAND
