"""pytest on the host, with a lab that says what it was given: nothing of the host is shown, no traceback, no lie."""

from pathlib import Path

import pytest
from labs import passed, said

from harness.protocol.messages import Collected, Collecting, Exited, Uncollectable, Warned

FILE = "lessons/90-small/test_small.py"
ONE = f"{FILE}::test_one"
PLUGIN = """\
from pathlib import Path
from harness.lab import choose
from labs import FakeLab
choose.open_lab = lambda name, target, say: FakeLab(Path({said!r}).read_bytes())
"""


@pytest.fixture
def screen(course):
    """Runs the small lesson's one test in a lab that says these messages."""
    course.write("test_small.py", "def test_one(loader): pass\n")

    def run(*messages, options=()):
        (course.root / "said").write_bytes(said(*messages))
        (course.root / "fake.py").write_text(PLUGIN.format(said=str(course.root / "said")))
        found = course.pytest("-p", "fake", *options, "lessons", PYTHONPATH=str(Path(__file__).parent))
        assert "INTERNALERROR" not in found.screen
        return found

    return run


def warned(file):
    return Warned(category="UserWarning", text="look", file=str(file), line=1, when="runtest", nodeid=ONE)


def test_a_warning_shows_no_line_of_a_hosts_file(screen, course):
    secret = course.root / "secret.txt"
    secret.write_text("it is 23\n")
    seen = screen(Collected(tests=(ONE,)), warned(secret), *passed(ONE), Exited(status=0))
    assert seen.code == 0
    assert "UserWarning: look" in seen.screen
    assert "it is 23" not in seen.screen


def test_a_folder_that_cannot_travel_is_one_sentence(screen, course):
    (course.root / "solutions/90-small/loader.py").touch()
    (course.root / "lessons/90-small/loader.py").symlink_to("/etc/hostname")
    seen = screen(Collected(tests=(ONE,)), *passed(ONE), Exited(status=0))
    assert seen.code == 4
    assert "loader.py is a link, not an ordinary file" in seen.screen


def test_a_file_that_cannot_be_read_has_no_tests_that_pass(screen):
    unread = Uncollectable(file=FILE, text="")
    seen = screen(Collecting(file=FILE), unread, Collected(tests=(ONE,)), *passed(ONE), Exited(status=0))
    assert seen.code == 3


def test_a_skip_in_the_lab_is_not_green(screen):
    skipped = passed(ONE, "skipped", text="Skipped: no")
    seen = screen(Collected(tests=(ONE,)), *skipped, Exited(status=0))
    assert seen.code == 1
