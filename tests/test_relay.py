"""A command in the guest keeps the terminal only as long as its user wants."""

import pytest

from harness.learner import relay
from harness.learner.relay import Patience


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the module sees."""
    now = [100.0]
    monkeypatch.setattr(relay.time, "monotonic", lambda: now[0])
    return now


def test_a_third_interrupt_in_a_row_ends_the_guest(clock):
    patience = Patience()
    patience.press()
    clock[0] += 0.9
    patience.press()
    clock[0] += 0.9
    with pytest.raises(KeyboardInterrupt):
        patience.press()


def test_slow_interrupts_go_to_the_guest(clock):
    patience = Patience()
    for _ in range(5):
        patience.press()
        clock[0] += 1.5


def test_three_in_one_piece_count_as_three(clock):
    with pytest.raises(KeyboardInterrupt):
        Patience().press(3)


def test_other_keys_do_not_count(clock):
    patience = Patience()
    for _ in range(9):
        patience.press(0)
