"""pytest's own line below an assertion's sentence: shown only where it adds something."""

import ast

import pytest
from test_commands import ROOT

from harness.course.catalog import Course
from harness.run.sentence import alone, without_repetition

SAME = [
    "6 waits are counted; the thread waited 24 times\nassert 6 == 24",
    "the caller's gid was 390135733\nassert not 390135733",
    "detach() closed the whole BPF object\nassert False",
    "the name is hello, expected bye\nassert 'hello' == 'bye'",
    "attached to b'one', expected b'two'\nassert b'one' == b'two'\n\n  At index 0 diff: b'o' != b't'",
    "0 lines came, expected 23\nassert 0 == 23\n +  where 0 = len(lines)",
    "expected [1, 2], seen [1, 3]\nassert [1, 3] == [1, 2]\n  At index 1 diff: 3 != 2",
    "entries left: -1, expected none\nassert -1 == None",
]
MORE = [
    "the counts differ\nassert 6 == 24",
    "6 waits are counted\nassert 6 == 24",
    "16 is not it, nor is 2.5\nassert 16 == 2",
    "0 lines came, expected 2\nassert 0 == 2\n +  where 0 = len(['other line'])",
    "1, 2 and 3 were made, 3 is missing\nassert [1, 2] == [1, 2, 3]",
    "one is missing\nassert ['one', ...] == []",
    "it is not one\nassert <object at 0x7f> == 1",
    "assert 16 == 2",
    "a sentence alone",
    "",
]


@pytest.mark.parametrize("message", SAME)
def test_a_line_that_repeats_the_sentence_is_left_out(message):
    assert without_repetition(message) == message.splitlines()[0]


@pytest.mark.parametrize("message", MORE)
def test_a_line_that_adds_a_value_or_stands_alone_is_kept(message):
    assert without_repetition(message) == message


def test_a_sentence_is_had_alone():
    assert alone(MORE[0]) == "the counts differ"
    assert [alone(message) for message in MORE[-3:]] == MORE[-3:]


@pytest.mark.parametrize("lesson", list(Course.load(ROOT)), ids=lambda one: one.name)
def test_each_assertion_of_a_lesson_says_a_sentence(lesson):
    """Which is why it is shown alone."""
    found = [node for node in ast.walk(ast.parse(lesson.tests.read_text())) if isinstance(node, ast.Assert)]
    assert found
    assert [node.lineno for node in found if node.msg is None] == []
