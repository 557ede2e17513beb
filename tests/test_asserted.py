"""Which assertions of the learner's test really ran, and what a callback kept: asked of pytest's own process."""

import pytest
from labs import AgentLab, small

from harness.learner import judge
from harness.run import outcome
from harness.run.request import of_lesson

LOADER = "def act(): return [23]\n"
BODIES = {
    "a plain one": ("assert loader.act() == [23]", [2]),
    "under a condition that holds": ("if loader.act():\n        assert True", [3]),
    "under a condition that does not": ("if not loader.act():\n        assert False", []),
    "on the line of that condition": ("if not loader.act(): assert False", []),
    "in a loop": ("for one in loader.act():\n        assert one == 23", [3]),
    "in a loop over nothing": ("for one in loader.act()[1:]:\n        assert one == 23", []),
    "in a helper": ("helper(loader)", [8]),
    "pytest.raises": ("with pytest.raises(IndexError):\n        loader.act()[1]", [2]),
    "eventually": ("eventually(loader.act, 'an event')", [2]),
    "none": ("loader.act()", []),
}
MINE = """\
def test_mine(loader, eventually):
    {body}


import pytest


def helper(loader): {helper}
"""


def results(course, body, tests=("test_mine.py",), loader=LOADER):
    course.write("loader.py", loader)
    course.write("test_mine.py", body)
    lesson = small(course)
    asked = of_lesson(lesson, "lessons", tests=tuple(lesson.folder() / name for name in tests), options=judge.ASKED)
    return outcome.run(AgentLab(), asked).tests.values()


@pytest.mark.parametrize("name", BODIES)
def test_an_assertion_that_ran_is_reported(course, name):
    body, lines = BODIES[name]
    (test,) = results(course, MINE.format(body=body, helper="\n" * 1 + "    assert loader.act()"))
    expected = [len(MINE.format(body=body, helper="").splitlines()) + 1] if name == "in a helper" else lines
    assert (test.done, list(test.asserted)) == (True, expected)


def test_assertions_are_of_one_test(course):
    one, two = results(course, "def test_one(): assert True\ndef test_two(): pass\n")
    assert (one.asserted, two.asserted) == ((1,), ())


KEEPS = """\
class Stream:
    error = None
def act():
    stream = Stream()
    try:
        {}["time"]
    except KeyError as error:
        stream.error = error
    return stream
"""


def test_what_a_callback_kept_is_shown(course):
    (course.root / "solutions/90-small/loader.py").touch()
    body = "def test_mine(loader):\n    stream = loader.act()\n    assert not stream\n"
    (test,) = results(course, body, loader=KEEPS)
    assert test.verdict.place == "lessons/90-small/loader.py:6"
    assert "a callback raised KeyError: 'time' (kept in stream.error)" in test.verdict.text
