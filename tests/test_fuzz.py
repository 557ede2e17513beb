"""Whatever a guest says, verify and pytest end in time with a verdict or a sentence, and never green."""

import fuzz
import pytest

READERS = {"verify": fuzz.of_verify, "pytest": fuzz.of_pytest}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("facts_only", [False, True], ids=["streams", "facts"])
def test_a_mutated_stream_ends_in_a_verdict(reader, facts_only):
    found, slowest = fuzz.fuzz(400, 23, reader, facts_only)
    assert set(found) <= {1, 3}
    assert slowest < 2


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_mutated_streams_end_in_a_verdict(reader, seed):
    for count, facts_only in ((8000, False), (15_000, True)):
        found, slowest = fuzz.fuzz(count, seed, reader, facts_only)
        assert set(found) <= {1, 3}
        assert slowest < 2


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_the_unchanged_stream_is_red(tmp_path, reader):
    lesson = fuzz.lesson_in(tmp_path)
    assert reader(lesson, b"".join(fuzz.framed(fuzz.plain(one)) for one in fuzz.pieces(lesson))) == 1
