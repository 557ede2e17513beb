"""The engine that the terminal and the page are faces of: what it tells, what it hears, and when."""

import threading

import pytest
from browser import ScriptedLab, answers
from labs import small

from harness.course.catalog import Course
from harness.errors import GuestLost
from harness.learner import judge, progress
from harness.learner.asks import QUIT, SAVE, Ask
from harness.learner.engine import Engine, Quit, Stale
from harness.learner.events import (
    Checked,
    Failed,
    Hinted,
    Judged,
    Listed,
    Opened,
    Outdated,
    Part,
    Restored,
    Waiting,
    Working,
)  # fmt: skip
from harness.learner.inbox import Inbox
from harness.protocol.facts import Facts

SPEC = """
import pytest

@pytest.mark.step(1)
def test_one(loader): assert loader.act() == 23

@pytest.mark.step(2)
def test_two(loader): assert loader.act() == 23
"""
RED = Facts(exception="AssertionError", message="assert 22 == 23")
REFERENCE = "def act():\n    # TODO 1: return the number\n    return 23\n    # end of TODO 1\n"
WAIT_S = 30


@pytest.fixture
def lesson(course):
    course.write("test_small.py", SPEC)
    course.write("loader.py", "def act(): return 22\n")
    (course.root / "solutions/90-small/loader.py").write_text(REFERENCE)
    return small(course)


def decide(run, files):
    right = b"return 23" in files[f"{run.code}/loader.py"]
    return answers(run, {} if right else {"test_one": RED})


class Watched:
    """An engine in a thread, and what it has told."""

    def __init__(self, lab, lesson, moves_on=False):
        self.told, self._heard = [], threading.Condition()
        self.inbox = Inbox()
        self._engine = Engine(lab, Course.load(lesson.root), self.inbox, self._tell, moves_on=moves_on)
        self._lesson, self.quit = lesson, False
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self._engine.run(self._lesson)
        except Quit:
            self.quit = True

    def _tell(self, event):
        with self._heard:
            self.told.append(event)
            self._heard.notify_all()

    def __enter__(self):
        self.inbox.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.inbox.ask(QUIT)
        self.thread.join(WAIT_S)
        self.inbox.__exit__()
        assert not self.thread.is_alive()

    def until(self, kind, count=1):
        """Wait for so many events of a kind; the last of them."""
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.of(kind)) >= count, WAIT_S), self.told
            return self.of(kind)[count - 1]

    def of(self, kind):
        return [event for event in self.told if isinstance(event, kind)]


def test_it_tells_what_it_does_from_the_first_check_on(lesson):
    with Watched(ScriptedLab(decide), lesson) as watched:
        watched.until(Waiting)
        opened, working, *parts, checked, waiting = watched.told
    assert (opened, waiting) == (Opened(lesson, again=False, early=""), Waiting(lesson))
    assert (working.kind, str(working)) == ("checking", "checking 90-small")
    assert parts == [Part("restored, 2 tests"), Part("test 1 of 2: test_one"), Part("test 2 of 2: test_two")]
    assert checked.view.open.verdict.text == "assert 22 == 23"
    assert watched.quit


def test_a_save_is_checked(lesson):
    with Watched(ScriptedLab(decide), lesson) as watched:
        watched.until(Waiting)
        (lesson.folder() / "loader.py").write_text("def act(): return 23\n")
        assert watched.until(Checked, 2).view.open is None


def test_a_save_ends_a_check_at_once_and_is_checked_itself(lesson):
    lab = ScriptedLab(decide)
    lab.gate.clear()
    with Watched(lab, lesson) as watched:
        while not any("compiling" in part.text for part in watched.of(Part)):
            watched.until(Part, len(watched.of(Part)) + 1)
        lab.gate.set()
        watched.until(Checked)
        lab.gate.clear()
        watched.inbox.ask(Ask("check"))
        while "compiling" not in watched.of(Part)[-1].text:
            watched.until(Part, len(watched.of(Part)) + 1)
        (lesson.folder() / "loader.py").write_text("def act(): return 23\n")
        assert watched.until(Outdated).lesson == lesson  # the guest has not said a word since
        lab.gate.set()
        assert watched.until(Checked, 2).view.open is None


def test_what_needs_no_lab_is_answered_while_it_works(lesson):
    lab = ScriptedLab(decide)
    lab.gate.clear()
    with Watched(lab, lesson) as watched:
        watched.until(Part, 3)
        watched.inbox.ask(Ask("hint"))
        watched.inbox.ask(Ask("diff"))
        assert watched.until(Hinted).hint.shown == ("a",)
        assert "not done yet" in watched.until(Failed).text
        assert watched.of(Checked) == []
        lab.gate.set()
        watched.until(Checked)


def test_an_ask_about_another_lesson_is_passed_over(lesson):
    with Watched(ScriptedLab(decide), lesson) as watched:
        watched.until(Waiting)
        watched.inbox.ask(Ask("reset", "91-other"))
        watched.inbox.ask(Ask("hint", lesson.name))
        watched.until(Hinted)
    assert watched.of(Restored) == []
    assert "return 22" in (lesson.folder() / "loader.py").read_text()


def test_stop_ends_a_check_and_nothing_else(lesson):
    lab = ScriptedLab(decide)
    lab.gate.clear()
    with Watched(lab, lesson) as watched:
        watched.until(Part, 3)
        watched.inbox.ask(Ask("stop"))
        watched.until(Outdated)
        watched.until(Waiting, 2)
        assert len(watched.of(Working)) == 1
        lab.gate.set()


def test_reset_and_undo_are_told_with_their_place(lesson):
    with Watched(ScriptedLab(decide), lesson) as watched:
        watched.until(Waiting)
        watched.inbox.ask(Ask("undo"))
        assert "was never reset" in watched.until(Failed).text
        watched.inbox.ask(Ask("reset"))
        assert str(watched.until(Restored).kept).startswith(".workbook/kept/small/0001-")
        watched.inbox.ask(Ask("undo"))
        assert watched.until(Restored, 2).undone
    assert "return 22" in (lesson.folder() / "loader.py").read_text()


def test_all_lessons_get_a_line_each(lesson):
    with Watched(ScriptedLab(decide), lesson) as watched:
        watched.until(Waiting)
        watched.inbox.ask(Ask("all"))
        assert watched.until(Listed) == Listed(lesson, "red")


def test_a_lab_that_fails_is_told_as_the_labs_fault(lesson):
    class Broken(ScriptedLab):
        def open(self):
            raise GuestLost("no guest")

    with Watched(Broken(decide), lesson) as watched:
        assert watched.until(Failed) == Failed("no guest", lab=True, work=True)
        watched.until(Waiting)


def test_a_lesson_that_is_done_is_left_where_that_is_wanted(lesson):
    (lesson.folder() / "loader.py").write_text("def act(): return 23\n")
    with Watched(ScriptedLab(decide), lesson, moves_on=True) as watched:
        watched.thread.join(WAIT_S)
    assert progress.standing(lesson).verdict == "done"
    assert not watched.quit


def test_several_saves_that_wait_are_one():
    with Inbox() as inbox:
        for _ in range(23):
            inbox.ask(SAVE)
        inbox.ask(Ask("hint"))
        assert [inbox.next(), inbox.next()] == [SAVE, Ask("hint")]


def test_a_judgement_that_is_stopped_shows_what_is_known(lesson, monkeypatch):
    known = judge.Judgement(True, True, "", left=7)

    def stopped(*_, hear, **__):
        hear(known)
        raise Stale

    monkeypatch.setattr(judge, "own_steps", lambda one: one.steps[:1])
    monkeypatch.setattr(judge, "own_test", lambda *_: b"")
    monkeypatch.setattr(judge, "judge", stopped)
    with Watched(ScriptedLab(decide), lesson) as watched:
        watched.until(Waiting)
        watched.inbox.ask(Ask("judge"))
        watched.until(Outdated)
        assert [one.found for one in watched.of(Judged)] == [known]
