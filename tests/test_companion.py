"""What the companion remembers and keeps: never half written, never lost."""

import dataclasses
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ADVANCED
from labs import FakeLab
from rich.console import Console

from harness.course import catalog, stubs
from harness.errors import UsageError
from harness.learner import difference, hints, progress, reset, verify
from harness.protocol.facts import Facts
from harness.protocol.messages import Reported
from harness.run import outcome, request, verdict
from harness.run.outcome import StepResult
from harness.run.steps import at_the_step_reached
from harness.run.verdict import Verdict

ROOT = Path(__file__).resolve().parent.parent
LOADER = """\
def one() -> int:
    # TODO 1: return the number of calls
    return 23
    # end of TODO 1


def two() -> int:
    # TODO 2: return it twice
    return 46
    # end of TODO 2
"""


@pytest.fixture
def lesson(course):
    """A lesson with two TODOs, its stubs written."""
    (course.root / "solutions/90-small/loader.py").write_text(LOADER)
    found = catalog.load(course.root / "lessons/90-small")
    for name, text in stubs.stubs(found).items():
        course.write(name, text)
    return found


def mine(lesson):
    return (lesson.folder() / "loader.py").read_bytes()


def test_a_hint_says_more_each_time_and_then_no_more(lesson):
    assert [len(hints.take(lesson).shown) for _ in range(4)] == [1, 2, 3, 3]
    assert progress.standing(lesson).hints == {1: 3}


def test_hints_follow_the_open_step(lesson):
    text = mine(lesson).decode().replace('raise NotImplementedError("TODO 1: return the number of calls")', "return 23")
    (lesson.folder() / "loader.py").write_text(text)
    progress.note_check(lesson, "todo", 1, "2026-01-01T00:00:00")
    assert hints.take(lesson).step.number == 2


def test_a_done_lesson_shows_hints_only_for_a_named_step(lesson):
    fill(lesson, 1, 2)
    progress.note_check(lesson, "done", 2, "2026-01-01T00:00:00")
    assert hints.take(lesson) is None
    assert progress.standing(lesson).hints == {}
    assert hints.take(lesson, 2).shown == ("a",)


BROKEN, PASSED = Verdict("broken", "lessons/90-small/small.bpf.c:9", "no such helper"), Verdict("done")


def seen(lesson, *verdicts):
    return [
        StepResult(step, verdict, int(verdict == PASSED), 1)
        for step, verdict in zip(lesson.steps, verdicts, strict=True)
    ]


def holes(lesson):
    return set(request.of_lesson(lesson, "lessons").holes)


def fill(lesson, *numbers):
    text = mine(lesson).decode()
    for number in numbers:
        text = re.sub(rf'raise NotImplementedError\("TODO {number}: .*"\)', "return 23", text)
    (lesson.folder() / "loader.py").write_text(text)


def test_a_hint_follows_the_todo_that_does_not_load(lesson):
    fill(lesson, 1, 2)
    progress.note_check(lesson, "broken", 0, "2026-01-01T00:00:00", refused_in=2)
    assert hints.take(lesson).step.number == 2
    for name, text in stubs.stubs(lesson).items():
        (lesson.folder() / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert hints.take(lesson).step.number == 1
    progress.note_check(lesson, "todo", 0, "2026-01-01T00:00:00")
    assert progress.standing(lesson).refused_in == 0


def test_a_refused_program_is_shown_at_the_step_reached(lesson):
    fill(lesson, 1, 2)
    progress.note_check(lesson, "red", 1, "2026-01-01T00:00:00")
    steps = at_the_step_reached(seen(lesson, BROKEN, BROKEN), holes(lesson), 1)
    assert [(one.verdict.kind, one.verdict.place) for one in steps] == [("blocked", ""), ("broken", BROKEN.place)]
    view = verify.View(lesson, steps)
    assert (view.open.step.number, view.exit_code) == (2, 1)
    view.remember()
    assert (progress.standing(lesson).verdict, progress.standing(lesson).steps_done) == ("broken", 1)
    assert hints.take(lesson).step.number == 2
    console = Console(file=io.StringIO(), width=100)
    verify.show(view, console)
    rows = console.file.getvalue().splitlines()
    assert [row.split() for row in rows[2:4]] == [
        ["·", "1", "act", "not", "checked", "(done", "before)"],
        ["✘", "2", "act", "again", "broken", "0/1", "tests"],
    ]


@pytest.mark.parametrize(
    ("filled", "reached", "verdicts", "kinds"),
    [
        ((), 1, (BROKEN, BROKEN), ["broken", "broken"]),  # after a reset
        ((1, 2), 0, (BROKEN, BROKEN), ["broken", "broken"]),
        ((1, 2), 2, (BROKEN, BROKEN), ["blocked", "broken"]),  # all was done
        ((1, 2), 1, (Verdict("red"), BROKEN), ["red", "broken"]),
        ((1, 2), 1, (PASSED, BROKEN), ["done", "broken"]),
        ((1, 2), 1, (PASSED, PASSED), ["done", "done"]),
    ],
)
def test_steps_keep_their_verdicts_if_none_was_done_before(lesson, filled, reached, verdicts, kinds):
    fill(lesson, *filled)
    steps = at_the_step_reached(seen(lesson, *verdicts), holes(lesson), reached)
    assert [one.verdict.kind for one in steps] == kinds


def test_a_done_learners_test_hides_no_refused_program(lesson, monkeypatch):
    steps = [lesson.steps[0], dataclasses.replace(lesson.steps[1], mutant="one-too-few")]
    steps += [dataclasses.replace(step, number=number) for number, step in enumerate(lesson.steps, 3)]
    longer = dataclasses.replace(lesson, steps=tuple(steps))
    fill(longer, 1, 2)
    progress.note_check(longer, "todo", 3, "2026-01-01T00:00:00")
    monkeypatch.setattr(outcome, "run", lambda *_: outcome.Results())
    monkeypatch.setattr(outcome, "by_step", lambda *_: seen(longer, BROKEN, PASSED, BROKEN, BROKEN))
    view = verify.verify(FakeLab(), longer, "lessons", lambda _: None, 23)
    assert [one.verdict.kind for one in view.steps] == ["blocked", "blocked", "blocked", "broken"]
    assert (view.open.step.number, view.open.verdict) == (4, BROKEN)


def test_verify_hides_pytests_advice(lesson):
    (lesson.folder() / "test_small.py").write_text("def test_one(loader): assert [1] == [2]\n")
    (nodeid,) = (asked := request.of_lesson(lesson, "lessons")).functions
    told = Facts(message="assert [1] == [2]\n  \n  At index 0 diff: 1 != 2\n  Use -v to get more diff")
    report = Reported(nodeid=nodeid, when="call", outcome="failed", duration=0, facts=told)
    found = verdict.of(report, asked)
    assert found.text == "assert [1] == [2]\n  \n  At index 0 diff: 1 != 2"


def test_the_report_follows_the_last_lesson(lesson):
    view = verify.View(lesson, seen(lesson, PASSED, PASSED))
    assert verify.next_command(view, "lessons") == "make run-90, then make report"
    (lesson.root / "lessons/93-next").mkdir()
    (lesson.root / "lessons/93-next/lesson.toml").write_text((lesson.folder() / "lesson.toml").read_text())
    assert verify.next_command(view, "lessons") == "make run-90, then make lesson-93"


def test_the_report_follows_a_track_and_then_the_next_track(lesson):
    view = verify.View(lesson, seen(lesson, PASSED, PASSED))
    (lesson.root / "lessons/93-next").mkdir()
    text = ADVANCED + (lesson.folder() / "lesson.toml").read_text()
    (lesson.root / "lessons/93-next/lesson.toml").write_text(text)
    then = "make run-90, then make report; make lesson-93 begins the advanced track"
    assert verify.next_command(view, "lessons") == then


def test_the_marks_of_todos_are_no_difference(lesson):
    (lesson.folder() / "loader.py").write_text(
        "def one() -> int:\n    return 23\n\n\ndef two() -> int:\n    return 47\n"
    )
    changed = [line for line in difference.difference(lesson) if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["-    return 47", "+    return 46"]


def test_a_step_that_only_waits_is_open_where_no_other_is(lesson):
    view = verify.View(lesson, seen(lesson, PASSED, Verdict("blocked", text="blocked by step 1")))
    assert (view.open.step.number, view.exit_code) == (2, 1)


def test_a_done_lesson_stays_known_as_done(lesson):
    progress.note_check(lesson, "done", 2, "2026-01-01T00:00:00")
    progress.note_check(lesson, "red", 1, "2026-01-02T00:00:00")
    now = progress.standing(lesson)
    assert (now.verdict, now.steps_done, now.was_done) == ("red", 1, True)


def test_progress_survives_renumbering(lesson):
    progress.note_check(lesson, "done", 2, "2026-01-01T00:00:00")
    moved = lesson.folder().rename(lesson.folder().with_name("91-small"))
    assert progress.standing(catalog.load(moved)).verdict == "done"


def test_what_another_version_wrote_is_kept(lesson):
    path = progress.folder(lesson.root) / "progress.json"
    path.write_text(json.dumps({"version": 99, "theme": "dark", "lessons": {"small": {"stars": 5}, "gone": {"x": 1}}}))
    progress.note_hint(lesson, 1, 1)
    data = json.loads(path.read_text())
    assert (data["version"], data["theme"], data["lessons"]["gone"]) == (99, "dark", {"x": 1})
    assert data["lessons"]["small"] == {"stars": 5, "hints": {"1": 1}}


def test_what_an_older_version_wrote_is_read(lesson):
    path = progress.folder(lesson.root) / "progress.json"
    entry = {"verdict": "done", "steps_done": 2, "was_done": True, "when": "2026-01-01T00:00:00"}
    path.write_text(json.dumps({"lessons": {"small": entry}}))
    now = progress.standing(lesson)
    assert (now.verdict, now.steps_done, now.was_done, now.begun, now.hints) == ("done", 2, True, "", {})
    progress.note_check(lesson, "red", 1, "2026-01-02T00:00:00")
    data = json.loads(path.read_text())
    assert (data["version"], data["lessons"]["small"]["was_done"]) == (progress.VERSION, True)


def test_unreadable_progress_is_reported_with_its_path(lesson):
    path = progress.folder(lesson.root) / "progress.json"
    path.mkdir()
    for use in (progress.standing, lambda lesson: progress.note_hint(lesson, 1, 1)):
        with pytest.raises(UsageError, match=f"{path}: Is a directory") as caught:
            use(lesson)
        assert caught.value.remedy == "ls -la .workbook"
    path.rmdir()
    progress.note_hint(lesson, 1, 1)
    path.parent.rename(lesson.root / "moved")
    (lesson.root / ".workbook").write_text("mine")
    with pytest.raises(UsageError, match="File exists"):
        progress.standing(lesson)
    assert (lesson.root / ".workbook").read_text() == "mine"


STRANGE = {"verdict": None, "steps_done": "two", "was_done": "yes", "when": 5, "hints": ["a"], "begun": {}}


def test_fields_of_another_kind_are_as_if_not_there_and_kept(lesson):
    path = progress.folder(lesson.root) / "progress.json"
    path.write_text(json.dumps({"version": 99, "lessons": {"small": STRANGE, "other": 3}}))
    assert progress.standing(lesson) == progress.Standing()
    progress.note_hint(lesson, 1, 2)
    progress.note_check(lesson, "todo", 0, "2026-01-01T00:00:00")
    now = progress.standing(lesson)
    assert (now.verdict, now.was_done, now.hints) == ("todo", False, {1: 2})
    data = json.loads(path.read_text())
    assert data["lessons"]["other"] == 3
    assert data["lessons"]["small"]["hints of another version"] == ["a"]


def test_an_entry_of_another_kind_is_kept(lesson):
    path = progress.folder(lesson.root) / "progress.json"
    path.write_text(json.dumps({"version": 99, "lessons": {"small": ["all", "new"]}}))
    progress.note_hint(lesson, 1, 1)
    data = json.loads(path.read_text())
    assert data["lessons"]["small"] == {"hints": {"1": 1}}
    assert data["lessons"]["small of another version"] == ["all", "new"]


def test_a_lesson_that_became_shorter_shows_what_there_is(lesson):
    progress.note_check(lesson, "red", 7, "2026-01-01T00:00:00")
    progress.note_hint(lesson, 9, 3)
    assert hints.open_step(lesson).number == 1
    assert progress.standing(lesson).steps_done == 7


def test_what_reset_kept_comes_back_after_renumbering(lesson):
    (lesson.folder() / "loader.py").write_bytes(b"mine")
    reset.reset(lesson)
    for tree in ("solutions", "lessons"):
        lesson.folder(tree).rename(lesson.folder(tree).with_name("91-small"))
    moved = catalog.load(lesson.root / "lessons/91-small")
    reset.undo(moved)
    assert mine(moved) == b"mine"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lessons": 3}', "\xff", "[" * 100_000, "1" * 5000])
def test_a_file_that_cannot_be_read_is_put_aside_and_not_lost(lesson, text):
    path = progress.folder(lesson.root) / "progress.json"
    path.write_text(text, encoding="latin-1")
    assert progress.standing(lesson) == progress.Standing()
    progress.note_hint(lesson, 1, 1)
    assert path.with_name("progress.unreadable-1.json").read_text(encoding="latin-1") == text
    assert progress.standing(lesson).hints == {1: 1}


def test_deep_nesting_ends_no_command_and_is_not_lost(lesson):
    """Newer Pythons read deeper than they write."""
    path = progress.folder(lesson.root) / "progress.json"
    deep = '{"x":' * 3000 + "23" + "}" * 3000
    path.write_text('{"lessons": {"other": ' + deep + "}}")
    progress.note_hint(lesson, 1, 1)
    assert progress.standing(lesson).hints == {1: 1}
    assert any(": 23" in one.read_text() or deep in one.read_text() for one in path.parent.glob("progress*.json"))


@pytest.mark.parametrize("key", ["²", "1" * 5000, "-1", "x"])
def test_what_is_kept_for_no_step_is_not_read_and_stays(lesson, key):
    path = progress.folder(lesson.root) / "progress.json"
    path.write_text(json.dumps({"lessons": {"small": {"hints": {key: 2, "2": 1}, "judged": {key: "x"}}}}))
    assert (progress.standing(lesson).hints, progress.standing(lesson).judged) == ({2: 1}, {})
    progress.note_hint(lesson, 1, 1)
    assert json.loads(path.read_text())["lessons"]["small"]["hints"] == {key: 2, "2": 1, "1": 1}


@pytest.mark.parametrize("words", ["\x1b]52;c;cHduZWQ=\x07", "\ud800", "\u202e"])
def test_words_that_cannot_be_printed_are_as_if_not_there(lesson, words):
    entry = {"verdict": words, "when": words}
    (progress.folder(lesson.root) / "progress.json").write_text(json.dumps({"lessons": {"small": entry}}))
    assert progress.standing(lesson) == progress.Standing()


def test_numbers_below_zero_are_none(lesson):
    entry = {"steps_done": -1, "hints": {"1": -5}}
    (progress.folder(lesson.root) / "progress.json").write_text(json.dumps({"lessons": {"small": entry}}))
    assert progress.standing(lesson) == progress.Standing()
    assert len(hints.take(lesson).shown) == 1


def test_undo_brings_back_the_lessons_own_files_only(lesson):
    (lesson.folder() / "loader.py").write_bytes(b"mine")
    kept = reset.reset(lesson)
    (kept / "conftest.py").write_text("evil")
    (kept / "notes").mkdir()
    reset.undo(lesson)
    assert mine(lesson) == b"mine"
    assert sorted(path.name for path in lesson.folder().iterdir()) == ["lesson.toml", "loader.py"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_undo_of_what_is_no_file_changes_nothing(lesson, make):
    (lesson.folder() / "loader.py").write_bytes(b"mine")
    kept = reset.reset(lesson)
    stub = mine(lesson)
    (kept / "loader.py").unlink()
    make(kept / "loader.py")
    with pytest.raises(UsageError, match="not an ordinary file"):
        reset.undo(lesson)
    assert mine(lesson) == stub
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_a_diff_of_what_is_no_file_names_it(lesson, make):
    (lesson.folder() / "loader.py").unlink()
    make(lesson.folder() / "loader.py")
    with pytest.raises(UsageError, match=r"loader\.py is a .*, not an ordinary file"):
        list(difference.difference(lesson))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_reset_names_what_is_no_file_and_leaves_it(lesson, make):
    (lesson.folder() / "loader.py").unlink()
    make(lesson.folder() / "loader.py")
    before = os.lstat(lesson.folder() / "loader.py")
    with pytest.raises(UsageError, match="not an ordinary file"):
        reset.reset(lesson)
    assert os.lstat(lesson.folder() / "loader.py") == before
    assert not (lesson.root / ".workbook/kept").exists()


def test_reset_keeps_the_learners_files_and_undo_restores_them(lesson):
    stub = mine(lesson)
    versions = [b"first \xff\r\n", b"second"]
    for version in versions:
        (lesson.folder() / "loader.py").write_bytes(version)
        assert (reset.reset(lesson) / "loader.py").read_bytes() == version
        assert mine(lesson) == stub
    assert reset.reset(lesson) is None
    reset.undo(lesson)
    assert mine(lesson) == versions[1]
    reset.undo(lesson)
    assert mine(lesson) == versions[0]
    with pytest.raises(Exception, match="brought back"):
        reset.undo(lesson)


WRITER = """
import sys
from pathlib import Path
from harness.course import catalog, files
from harness.learner import progress, reset
lesson = catalog.load(Path(sys.argv[1]))
number = int(sys.argv[2])
def tell(what):
    print(what, number, flush=True)
while True:
    number += 1
    progress.note_check(lesson, "red" * 2000, number, "now")
    tell("noted")
    for name in lesson.edited:
        files.write(lesson.folder() / name, b"%s %d " % (name.encode(), number) * 5000)
    tell("written")
    reset.reset(lesson)
    tell("reset")
    reset.undo(lesson)
    tell("undone")
"""


def test_fifty_kills_at_random_moments_lose_nothing(lesson):
    (lesson.folder("solutions") / "small.bpf.c").write_text("// TODO 1: x\nint y;\n// end of TODO 1\n")
    fresh = {name: text.encode() for name, text in stubs.stubs(lesson).items()}
    rng = random.Random(23)
    number, killed_after, kept = 0, Counter(), set()
    for _ in range(50):
        told = told_until_killed(lesson, number, words=rng.randrange(1, 9), seconds=rng.random() / 100)
        last = {what: int(n) for what, n in told}
        kept |= {int(n) for what, n in told if what == "reset"}
        killed_after[told[-1][0]] += 1
        data = json.loads((progress.folder(lesson.root) / "progress.json").read_text())
        noted = data["lessons"]["small"]["steps_done"]
        assert data["lessons"]["small"]["verdict"] == "red" * 2000
        assert noted >= last.get("noted", number)
        for name in lesson.edited:
            versions = [path.read_bytes() for path in everywhere(lesson, name)]
            due = kept | {last[what] for what in {"written"} & set(last)}
            assert [n for n in due if version(name, n) not in versions] == [], f"these versions of {name} are lost"
            known = {version(name, n) for n in range(noted + 1)} | {fresh[name]}
            assert set(versions) <= known, "a half-written file"
        for copy in (lesson.root / progress.FOLDER / "kept/small").glob("[0-9]*"):
            assert {path.name for path in copy.iterdir()} == set(lesson.edited), "an incomplete copy"
        number = noted
    assert len(killed_after) == 4, f"kills came after {killed_after} alone"
    assert not list((lesson.root / progress.FOLDER).glob("progress.unreadable*"))


def told_until_killed(lesson, number, words, seconds):
    """What the writer reported as done until it was killed, a number of seconds after a number of words."""
    argv = [sys.executable, "-c", WRITER, str(lesson.folder()), str(number)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ, text=True)
    told = [process.stdout.readline() for _ in range(words)]
    time.sleep(seconds)  # the moment is what is tried
    process.send_signal(signal.SIGKILL)
    told += process.communicate()[0].splitlines(keepends=True)
    return [line.split() for line in told if line.endswith("\n")]


def everywhere(lesson, name):
    """The learner's file and all copies of it that are kept."""
    return [lesson.folder() / name, *(lesson.root / progress.FOLDER / "kept/small").glob(f"[0-9]*/{name}")]


def version(name, number):
    return b"%s %d " % (name.encode(), number) * 5000


def test_a_file_named_workbook_is_a_sentence(tmp_path):
    (tmp_path / progress.FOLDER).touch()
    with pytest.raises(UsageError, match=r"your progress cannot be kept: .*\.workbook: File exists"):
        progress.folder(tmp_path)


def test_a_check_is_announced_with_its_last_time(lesson):
    assert progress.announced(lesson) == "checking 90-small"
    progress.note_check(lesson, "red", 1, "2026-01-01T00:00:00", 41.7)
    assert progress.announced(lesson) == "checking 90-small (42 s last time)"
    own = replace(lesson, steps=(*lesson.steps[:-1], replace(lesson.steps[-1], mutant="wrong")))
    assert progress.announced(own) == "checking 90-small (42 s last time, longer with a new test of yours)"
