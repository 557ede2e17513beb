"""The thinnest whole path: a lesson's tests, collected here, run in a guest."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LESSON = "lessons/01-hello-kprobe"


def run_pytest(*arguments):
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_collecting_starts_no_guest_and_returns_plain_node_ids():
    done = run_pytest(LESSON, "--collect-only", "-q")
    assert done.returncode == 0
    assert f"{LESSON}/test_hello_kprobe.py::test_parse_reads_pid_and_comm" in done.stdout


@pytest.mark.guest
def test_the_solution_is_green():
    done = run_pytest(LESSON, "--tree", "solutions", "-q")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
