"""A small separate course, to try the harness without compiling anything."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.measure import interrupts

# A shell that starts these tests in its background lets them ignore Ctrl-C, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What some machines set, such as images of containers, and a learner's shell does not: all is tried without it.
for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)

LESSON = "lessons/90-small"
TOML = """\
title = "Small"
topic = "small"
teaches = []
needs = []
[[step]]
title = "act"
[[step]]
title = "act again"
"""
ADVANCED = 'track = "advanced"\nafter = "90"\n'
"""Begins the lesson.toml of an advanced lesson that comes after lesson 90."""
HINTS = '[[step]]\nhints = ["a", "b", "c"]\n'
"""Of one step, in tests/hints."""


@dataclass(frozen=True)
class Outcome:
    """A whole pytest run over the small lesson."""

    code: int
    screen: str
    failures: dict[str, str]
    """Test → what its failure says; empty for one that passed."""
    skipped: dict[str, str]


@dataclass(frozen=True)
class Course:
    """A checkout with one lesson."""

    root: Path

    def write(self, name, text):
        """Write a file of the lesson."""
        (self.root / LESSON / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def write_hints(self, text):
        """Write the hints of the lesson."""
        path = self.root / "tests/hints/90-small.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def pytest(self, *options, timeout_s=300, **environment):
        """Run pytest there, to its end; no process of it may be left, however it ended."""
        xml, mark = self.root / "report.xml", self.root.as_posix()
        xml.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"--junitxml={xml}", *options],
            cwd=self.root, capture_output=True, text=True, timeout=timeout_s,
            env=os.environ | environment | {interrupts.MARK: mark},
        )  # fmt: skip
        assert interrupts.left_running(mark) == []
        failures, skipped = {}, {}
        for case in ElementTree.parse(xml).iter("testcase") if xml.exists() else ():
            bad = [child for child in case if child.tag in ("failure", "error")]
            failures[case.get("name")] = (bad[0].get("message") or "") + (bad[0].text or "") if bad else ""
            skipped |= {case.get("name"): child.get("message") for child in case if child.tag == "skipped"}
        return Outcome(done.returncode, done.stdout + done.stderr, failures, skipped)


@pytest.fixture
def course(tmp_path):
    """A course whose one lesson has a lesson.toml, and whatever the test writes."""
    for tree in ("lessons", "solutions"):
        (tmp_path / tree / "90-small").mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    made = Course(tmp_path)
    made.write("lesson.toml", TOML)
    made.write_hints(2 * HINTS)
    return made
