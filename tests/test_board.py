"""What the page keeps of what happened, and what of a program's output a tab still lacks."""

from html import escape
from pathlib import Path

import pytest

from harness.course.catalog import Course
from harness.learner.events import Ended, Failed, Hinted, Judged, Opened, Outdated, Part, Printed, Waiting, Working
from harness.page import fragments
from harness.page.app import _event, _output
from harness.page.board import OUTPUT_MAX, Board

LESSON = Course.load(Path(__file__).resolve().parent.parent).pick("01")
RUN = Working(LESSON, "running")


@pytest.fixture
def board():
    made = Board()
    made.tell(Opened(LESSON, again=False, early=""))
    return made


def told(board, *events):
    for event in events:
        board.tell(event)
    return board.shown


def test_only_what_changed_has_a_new_number(board):
    before = board.shown.changed
    after = told(board, Part("restored")).changed
    assert {name for name in after if after[name] != before[name]} == {"status"}


@pytest.mark.parametrize("early", ["", "09-<b> comes after 08-combining, which is not done yet"])
def test_a_lesson_that_is_opened_early_says_so_above_its_steps(board, early):
    shown = told(board, Opened(LESSON, again=True, early=early))
    text = fragments.region("steps", shown)
    assert escape(early) in text
    assert text.count('<p class="soft">') == bool(early)
    assert early == "" or text.index("comes after") < text.index("<ol")


def test_each_change_wakes_who_waits_until_they_leave(board):
    woken = []
    wake = lambda: woken.append(1)  # noqa: E731 - it must be the same object twice
    board.wake(wake)
    told(board, Part("x"))
    board.forget(wake)
    told(board, Part("y"))
    assert woken == [1]


def test_a_tab_gets_each_piece_of_the_output_once(board):
    first, seen = _output(told(board, RUN, Printed("one\n")), None)
    second, seen = _output(told(board, Printed("two\n")), seen)
    nothing, _ = _output(board.shown, seen)
    assert (first["again"], first["text"]) == (True, "one\n")
    assert (second["again"], second["text"]) == (False, "two\n")
    assert (nothing["again"], nothing["text"]) == (False, "")


def test_a_tab_that_missed_a_program_gets_the_next_one_whole(board):
    _, seen = _output(told(board, RUN, Printed("one\n")), None)
    message, _ = _output(told(board, Ended(0, ()), RUN, Printed("another, longer\n")), seen)
    assert (message["again"], message["text"]) == (True, "another, longer\n")


def test_of_endless_output_the_end_is_kept(board):
    _, seen = _output(told(board, RUN, Printed("x" * 100)), None)
    shown = told(board, Printed("y" * OUTPUT_MAX), Printed("z"))
    message, _ = _output(shown, seen)
    assert len(shown.output) == OUTPUT_MAX
    assert shown.dropped == 101
    assert (message["again"], message["text"]) == (True, shown.output)


def test_how_a_program_ended_is_said(board):
    assert _output(told(board, RUN), None)[0]["end"] == "running"
    message, _ = _output(told(board, Ended(130, ("a.folded",))), None)
    assert message["end"] == "exit status 130; brought back: a.folded (see the course's page)"


def test_a_fault_of_the_work_ends_it_and_an_answer_does_not(board):
    told(board, Working(LESSON, "checking"))
    shown = told(board, Failed("never reset"))
    assert (shown.work is not None, shown.fault, shown.answers) == (True, None, (Failed("never reset"),))
    shown = told(board, Failed("no guest", lab=True, work=True))
    assert (shown.work, shown.fault.text) == (None, "no guest")
    assert told(board, Working(LESSON, "checking")).fault is None


def test_an_answer_takes_the_place_of_the_last_one(board):
    told(board, Hinted(LESSON, None))
    judged = Judged(LESSON, LESSON.steps[0], None, 1)
    told(board, Working(LESSON, "judging"), judged)
    assert told(board, judged).answers == (judged, judged)
    assert told(board, Outdated(LESSON), Waiting(LESSON)).work is None


@pytest.mark.parametrize("data", ["a\nb", "a\r\nevent: x\r\n\r\ndata: y", "\n\n", ""])
def test_no_data_ends_an_event_early(data):
    lines = _event("verdict", data).split("\n")
    assert lines[0] == "event: verdict"
    assert lines[-2:] == ["", ""]
    assert all(line.startswith("data: ") for line in lines[1:-2])
    assert "\r" not in _event("verdict", data)
