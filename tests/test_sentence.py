"""pytest's own line below an assertion's sentence: shown only where it adds something."""

import pytest

from harness.run.sentence import without_repetition

SAME = [
    "6 waits are counted; the thread waited 24 times\nassert 6 == 24",
    "the caller's gid was 390135733\nassert not 390135733",
    "detach() closed the whole BPF object\nassert False",
    "the name is hello, expected bye\nassert 'hello' == 'bye'",
    "0 lines came, expected 23\nassert 0 == 23\n +  where 0 = len([])",
]
MORE = [
    "the counts differ\nassert 6 == 24",
    "6 waits are counted\nassert 6 == 24",
    "16 is not it, nor is 2.5\nassert 16 == 2",
    "0 lines came, expected 2\nassert 0 == 2\n +  where 0 = len(['other line'])",
    "expected [1, 2], seen [1, 3]\nassert [1, 3] == [1, 2]\n  At index 1 diff: 3 != 2",
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
