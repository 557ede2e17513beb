"""What a test file holds is read without running it, by pytest's rules, whatever the bytes are."""

import subprocess
import sys

import pytest

from harness.course import specification
from harness.course.specification import TestFunction, functions

SOURCE = """\
import pytest

def helper(): pass

@pytest.mark.step(1)
def test_one(): pass

def test_twice(): pass

@pytest.mark.step(2)
class TestMany:
    def test_first(self): pass

    @pytest.mark.step(3)
    @pytest.mark.other
    async def test_second(self): pass

    class TestInner:
        @pytest.mark.step(number)
        def test_third(self): pass

    def other(self): pass

@pytest.fixture
def test_data(): pass

class TestBuilt:
    def __init__(self): pass
    def test_no(self): pass

class TestOff:
    __test__ = False
    def test_no(self): pass

class Helper:
    def test_no(self): pass

@pytest.mark.step(5)
@pytest.mark.step(4)
def test_twice(): pass

@pytest.mark.step(True)
@pytest.mark.step
def test_last(): pass
"""


def test_names_steps_and_lines_are_read():
    assert functions(SOURCE.encode()) == (
        TestFunction("test_one", 1, 6),
        TestFunction("test_twice", 4, 40),
        TestFunction("TestMany::test_first", 2, 12),
        TestFunction("TestMany::test_second", 3, 16),
        TestFunction("TestMany::TestInner::test_third", 2, 20),
        TestFunction("test_last", None, 44),
    )


def test_pytest_itself_collects_the_same(tmp_path):
    (tmp_path / "test_it.py").write_text(SOURCE.replace("number", "4"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    found = [line.removeprefix("test_it.py::") for line in done.stdout.splitlines() if line.startswith("test_it.py::")]
    assert found == [test.name for test in functions(SOURCE.encode())], done.stdout + done.stderr


@pytest.mark.parametrize(
    "source",
    [
        b"def test_one(:\n",
        b"\0",
        b"\xff\xfe",
        b"# coding: nothing\n",
        b"x = " + b"-" * 100_000 + b"1",
        b"(" * 100_000,
        b"x = a" + b".a" * 100_000,
        b"x = 1" + b"+1" * 100_000,
        b"x = " + b"9" * 5000,
        b"if 1: pass\n" + b"elif 1: pass\n" * 20_000,
        b"def test_one(): pass\n" + b"#" * specification.SIZE_MAX,
    ],
    ids=lambda source: ascii(source[:8]),
)
def test_no_bytes_raise(source):
    assert functions(source) == ()


def test_an_odd_escape_is_no_error(recwarn):
    assert functions(b'def test_one(): "\\d"\n') == (TestFunction("test_one", None, 1),)
    assert not recwarn.list
