"""Watch mode as it is used: saves as editors make them, keys of a real terminal, a plain pipe, the end of it."""

import contextlib
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import watchfiles
from conftest import ADVANCED
from labs import FakeLab
from rich.console import Console

from harness.course import catalog
from harness.errors import SetupError
from harness.learner import engine, progress, watch
from harness.learner.engine import Engine
from harness.learner.inbox import Inbox
from harness.learner.saves import matters

WORKBOOK = str(Path(sys.executable).with_name("workbook"))
DEADLINE_S = 120
SHOW_ASKS = """
import sys
from pathlib import Path
from harness.learner.inbox import Inbox
from harness.learner.keys import Keys
from harness.learner.watch import MEANING
with Keys() as keys, Inbox(keys, MEANING) as inbox, inbox.saves_in(Path(sys.argv[1])):
    print("ready", flush=True)
    while (ask := inbox.next()).what != "quit":
        print(f"<{ask.what}>", flush=True)
print("end", flush=True)
"""


class Screen:
    """A running command, and what it has printed."""

    def __init__(self, process, reads_from, types_into):
        self.process, self._reads_from, self._types_into = process, reads_from, types_into
        self.text, self._seen = "", 0

    def type(self, keys):
        os.write(self._types_into, keys.encode())

    def until(self, wanted):
        """Wait until `wanted` is printed after what was waited for before; what was printed up to it."""
        end = time.monotonic() + DEADLINE_S
        while wanted not in self.text[self._seen :]:
            left = end - time.monotonic()
            assert left > 0, f"no {wanted!r} in {self.text!r}"
            if select.select([self._reads_from], [], [], left)[0]:
                data = os.read(self._reads_from, 4096)
                assert data, f"no {wanted!r} in {self.text!r}"
                self.text += data.decode()
        begin, self._seen = self._seen, self.text.index(wanted, self._seen) + len(wanted)
        return self.text[begin : self._seen]


@contextlib.contextmanager
def on_terminal(*argv, cwd):
    """The command with a pseudo-terminal as its input; its output is a pipe."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    try:
        with started(argv, cwd, theirs, ours) as screen:
            yield screen
        assert termios.tcgetattr(theirs) == before, "the terminal is not as it was"
    finally:
        os.close(ours)
        os.close(theirs)


@contextlib.contextmanager
def in_pipes(*argv, cwd):
    """The command between two pipes."""
    theirs, ours = os.pipe()
    try:
        with started(argv, cwd, theirs, ours) as screen:
            yield screen
    finally:
        os.close(ours)
        os.close(theirs)


@contextlib.contextmanager
def started(argv, cwd, stdin, types_into):
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "120"},
    )
    try:
        yield Screen(process, process.stdout.fileno(), types_into)
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def write(path):
    """As VS Code saves: into the file itself."""
    path.write_text("1\n")


def rename_over(path):
    """As many editors save: a new file takes the old one's name."""
    new = path.with_name(f"{path.name}.tmp")
    new.write_text("2\n")
    new.rename(path)


def as_vim(path):
    """As vim saves: the old file becomes the backup, a new one is written, the backup goes."""
    backup = path.with_name(f"{path.name}~")
    (path.parent / "4913").write_text("")
    (path.parent / "4913").unlink()
    path.rename(backup)
    path.write_text("3\n")
    backup.unlink()


def asks_in(folder):
    return (sys.executable, "-c", SHOW_ASKS, str(folder))


@pytest.mark.parametrize("save", [write, rename_over, as_vim])
def test_a_save_is_one_event_however_the_editor_makes_it(tmp_path, save):
    (tmp_path / "loader.py").write_text("0\n")
    with on_terminal(*asks_in(tmp_path), cwd=tmp_path) as screen:
        screen.until("ready\n")
        save(tmp_path / "loader.py")
        screen.until("<save>\n")
        screen.type("hq")
        assert screen.until("end\n") == "<hint>\nend\n"


@pytest.mark.parametrize("name", [".loader.py.swp", "loader.py~", "4913", "#loader.py#", "notes.txt"])
def test_an_editors_own_files_are_no_saves(name):
    assert not matters(watchfiles.Change.added, f"/lessons/01-x/{name}")


@pytest.mark.parametrize("name", ["loader.py", "maps.bpf.c", "test_mine.py", "lesson.toml"])
def test_a_lessons_files_are(name):
    assert matters(watchfiles.Change.modified, f"/lessons/01-x/{name}")


def test_the_end_of_a_pipe_is_no_key_and_saves_still_come(tmp_path):
    with started(asks_in(tmp_path), tmp_path, subprocess.DEVNULL, None) as screen:
        screen.until("ready\n")
        (tmp_path / "loader.py").write_text("x")
        assert screen.until("<save>\n") == "<save>\n"
        screen.process.send_signal(signal.SIGINT)


def test_a_terminal_that_hangs_up_quits(tmp_path):
    ours, theirs = pty.openpty()
    with started(asks_in(tmp_path), tmp_path, theirs, None) as screen:
        screen.until("ready\n")
        os.close(theirs)
        os.close(ours)
        screen.until("end\n")


def test_keys_in_a_pipe_count_too(tmp_path):
    with in_pipes(*asks_in(tmp_path), cwd=tmp_path) as screen:
        screen.until("ready\n")
        screen.type("dq")
        assert screen.until("end\n") == "<diff>\nend\n"


def test_a_folder_that_cannot_be_watched_is_said(tmp_path):
    with pytest.raises(SetupError, match="cannot be seen"), Inbox() as inbox, inbox.saves_in(tmp_path / "gone"):
        pass


def test_a_link_out_of_the_lesson_is_not_followed(tmp_path):
    lesson, elsewhere = tmp_path / "lesson", tmp_path / "elsewhere"
    lesson.mkdir()
    for number in range(23):
        (elsewhere / str(number)).mkdir(parents=True)
    (lesson / "l").symlink_to(elsewhere)
    with started(asks_in(lesson), tmp_path, subprocess.DEVNULL, None) as screen:
        screen.until("ready\n")
        assert inotify_watches(screen.process.pid) == 1
        screen.process.send_signal(signal.SIGINT)


def inotify_watches(pid):
    """How many files and folders the process watches."""
    opened = Path(f"/proc/{pid}/fdinfo").iterdir()
    return sum(line.startswith("inotify wd:") for one in opened for line in one.read_text().splitlines())


def test_after_a_lesson_comes_the_next_that_is_not_done(course):
    lessons = []
    for number in ("90", "91", "92"):
        folder = course.root / f"lessons/{number}-x{number}"
        folder.mkdir()
        (folder / "lesson.toml").write_text((course.root / "lessons/90-small/lesson.toml").read_text())
        lessons.append(catalog.load(folder))
    first, second, third = lessons
    course = catalog.Course(course.root, tuple(lessons))
    progress.note_check(third, "done", 2, "now")
    assert engine.after(None, course) == first
    assert engine.after(first, course) == second
    assert engine.after(second, course) == first
    progress.note_check(first, "done", 2, "now")
    progress.note_check(second, "done", 2, "now")
    assert engine.after(second, course) is None


@pytest.fixture
def tracks(course):
    """A course of two basic lessons and two advanced ones, which come after the second."""
    basic = (course.root / "lessons/90-small/lesson.toml").read_text()
    advanced = ADVANCED.replace("90", "91") + basic
    for number, text in {"91": basic, "92": advanced, "93": advanced}.items():
        folder = course.root / f"lessons/{number}-x{number}"
        folder.mkdir()
        (folder / "lesson.toml").write_text(text)
    return catalog.Course.load(course.root)


def test_the_basics_come_before_the_advanced_track(tracks):
    first, second, third, fourth = tracks
    progress.note_check(second, "done", 2, "now")
    assert engine.after(second, tracks) == first, "a basic lesson is left"
    assert engine.after(third, tracks) == fourth, "a track is left when it is done"
    progress.note_check(first, "done", 2, "now")
    assert engine.after(first, tracks) == third


def test_nothing_leads_to_a_lesson_too_early(tracks):
    first, second, third, fourth = tracks
    progress.note_check(first, "done", 2, "now")
    progress.note_check(third, "done", 2, "now")
    progress.note_check(fourth, "done", 2, "now")
    assert engine.after(fourth, tracks) == second
    assert engine.after(None, tracks) == second


def test_progress_says_which_lesson_comes_before(tracks):
    first, second, third, _ = tracks
    assert progress.early(tracks, first) == ""
    assert progress.early(tracks, third).startswith(f"{third.name} comes after {second.name}, which is not done yet")
    progress.note_check(second, "done", 2, "now")
    progress.note_check(second, "red", 1, "later")
    assert progress.early(tracks, third) == "", "it was done once"


TEST = """
import pytest

@pytest.mark.step(1)
def test_one(loader):
    assert loader.one() == 23

@pytest.mark.step(2)
def test_two(loader):
    assert loader.two() == 46
"""
NEXT_TEST = "import pytest\n@pytest.mark.step(1)\ndef test_three(loader):\n    assert loader.three() == 69\n"
NEXT = 'title = "Next"\ntopic = "next"\nteaches = []\nneeds = []\n[[step]]\ntitle = "go on"\n'


@pytest.fixture
def two_lessons(course):
    """Lesson 90 with two steps, both wrong; lesson 91 behind it with one."""
    course.write("test_small.py", TEST)
    course.write("loader.py", "def one(): return 22\ndef two(): return 45\n")
    (course.root / "solutions/90-small/loader.py").write_text("def one(): return 23\ndef two(): return 46\n")
    for tree in ("lessons", "solutions"):
        (course.root / tree / "91-next").mkdir()
    folder = course.root / "lessons/91-next"
    (folder / "lesson.toml").write_text(NEXT)
    (folder / "test_next.py").write_text(NEXT_TEST)
    (folder / "loader.py").write_text("def three(): return 68\n")
    return course


@pytest.mark.guest
def test_a_day_at_the_terminal(two_lessons):
    root = two_lessons.root
    loader = root / "lessons/90-small/loader.py"
    with on_terminal(WORKBOOK, "watch", cwd=root) as screen:
        assert "assert 22 == 23" in screen.until("q quit\n")
        (waiting,) = children(screen.process.pid)
        loader.write_text("def one(): return 23\ndef two(): return 45\n")
        assert "assert 45 == 46" in screen.until("q quit\n")
        assert children(screen.process.pid) != [waiting], "the guest that waited was not used"
        screen.type("h")
        assert "step 2, hint 1 of 3: a" in screen.until("q quit\n")
        screen.type("d")
        assert "--spoil shows its answer" in screen.until("q quit\n")
        screen.type("\n")
        assert "assert 45 == 46" in screen.until("q quit\n")
        screen.type("a")
        seen = screen.until("q quit\n")
        assert ["90-small", "red"] in [line.split() for line in seen.splitlines()]
        assert ["91-next", "red"] in [line.split() for line in seen.splitlines()]
        new = loader.with_name(".loader.py.new")
        new.write_text("def one(): return 23\ndef two(): return 46\n")
        new.rename(loader)
        seen = screen.until("q quit\n")
        assert "on to 91-next" in seen
        assert "assert 68 == 69" in seen
        (root / "lessons/91-next/loader.py").write_text("def three(): return 69\n")
        screen.until("all lessons are done")
    assert screen.process.returncode == 0


@pytest.mark.guest
@pytest.mark.parametrize(("leave", "code"), [("q", 0), ("\x03", 130)])
def test_leaving_watch_restores_the_terminal_and_ends_the_guest(two_lessons, leave, code):
    # setsid makes the terminal its own, so that ^C is an interrupt there.
    with on_terminal("setsid", "-c", WORKBOOK, "watch", "90", cwd=two_lessons.root) as screen:
        screen.until("q quit\n")
        guests = children(screen.process.pid)
        assert len(guests) == 1
        screen.type(leave)
    assert screen.process.returncode == code
    assert [guest for guest in guests if Path(f"/proc/{guest}").exists()] == []


@pytest.mark.guest
def test_q_while_a_check_runs_ends_it(two_lessons):
    two_lessons.write(
        "loader.py", "import time\ndef one():\n    time.sleep(1)\n    return 23\ndef two():\n    return 45\n"
    )
    with on_terminal(WORKBOOK, "watch", "90", cwd=two_lessons.root) as screen:
        screen.until("checking 90-small")
        screen.type("q")
    assert screen.process.returncode == 0
    assert "assert 45 == 46" not in screen.text


@pytest.mark.guest
def test_in_a_plain_pipe_saves_are_checked_until_the_interrupt(two_lessons):
    with started((WORKBOOK, "watch", "90"), two_lessons.root, subprocess.DEVNULL, None) as screen:
        screen.until("next: ")
        two_lessons.write("loader.py", "def one(): return 23\ndef two(): return 45\n")
        assert "assert 45 == 46" in screen.until("next: ")
        two_lessons.write("test_small.py", TEST.replace("23", "24"))  # collected ahead of time, and collected anew
        assert "assert 23 == 24" in screen.until("next: ")
        screen.process.send_signal(signal.SIGINT)
    assert screen.process.returncode == 130
    assert "\x1b" not in screen.text


def test_an_odd_file_is_named_and_watching_goes_on(course):
    """A loader that became a link: no lab is asked, and the next save is checked again."""
    course.write("test_small.py", "def test_one(loader): pass\n")
    (course.root / "solutions/90-small/loader.py").write_text("")
    (course.root / "lessons/90-small/loader.py").symlink_to("/etc/hostname")
    whole = catalog.Course.load(course.root)
    text = io.StringIO()
    with Inbox() as inbox, watch.Screen(Console(file=text, width=200), shows_keys=False) as screen:
        found = Engine(FakeLab(), whole, inbox, screen.tell, moves_on=True).check(whole.lessons[0])
    assert found is None
    assert "loader.py is a link" in text.getvalue()
