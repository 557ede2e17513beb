"""A red on the screen: the test's name, the exception's class, the learner's line, the likely cause."""

import dataclasses
import io
from dataclasses import replace

import pytest
from rich.console import Console
from test_silent import COUNTS, IDLE, KPROBE, PROGRAM, WELL

from harness.course import catalog
from harness.explain.explanation import Explanation
from harness.learner import progress, verify
from harness.protocol.facts import Attachment, Facts, Frame, Kept
from harness.protocol.messages import Reported
from harness.run import request, verdict
from harness.run.outcome import StepResult
from harness.run.verdict import Verdict

PROBES = """\
int count(struct pt_regs *ctx)
{
    // TODO 1: count it
    calls.increment(1);
    // end of TODO 1
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    // TODO 2: count it too
    calls.increment(2);
    // end of TODO 2
    return 0;
}
"""
TESTS = """\
import pytest


@pytest.mark.step(1)
def test_one(loader):
    assert loader.act() == 23


@pytest.mark.step(2)
def test_two(loader):
    assert loader.act() == 23
"""


@pytest.fixture
def lesson(course):
    """A lesson of two probes, both filled in."""
    solution = course.root / "solutions/90-small"
    (solution / "loader.py").write_text("def act():\n    return 22\n")
    (solution / "small.bpf.c").write_text(PROBES)
    course.write("loader.py", "def act():\n    return 22\n")
    course.write("small.bpf.c", "\n".join(line for line in PROBES.splitlines() if "TODO" not in line) + "\n")
    course.write("test_small.py", TESTS)
    return catalog.load(course.root / "lessons/90-small")


def red(lesson, test="test_one", tree="lessons", **facts):
    """The verdict on a failed test."""
    report = Reported(
        nodeid=f"lessons/90-small/test_small.py::{test}", when="call", outcome="failed", duration=0,
        facts=Facts(**{"exception": "AssertionError", "message": "assert 22 == 23"} | facts),
    )  # fmt: skip
    return verdict.of(report, request.of_lesson(lesson, tree))


def frame(lesson, name, line):
    return Frame(path=str(lesson.folder() / name), line=line)


def test_a_red_names_its_test(lesson):
    assert red(lesson, "test_two").test == "test_two"


@pytest.mark.parametrize(
    ("exception", "message", "text"),
    [
        ("KeyError", "SyscallKey(pid=186)", "KeyError: SyscallKey(pid=186)"),
        ("TypeError", "can't concat\nstr", "TypeError: can't concat\nstr"),
        ("KeyError", "", "KeyError"),
        ("AssertionError", "assert 22 == 23", "assert 22 == 23"),
        ("Failed", "waited 5 s for an event", "waited 5 s for an event"),
    ],
)
def test_the_class_of_an_exception_is_printed(lesson, exception, message, text):
    at_the_test = (frame(lesson, "test_small.py", 6),)
    assert red(lesson, exception=exception, message=message, frames=at_the_test).text == text


@pytest.mark.parametrize(
    ("exception", "message", "cause", "advice"),
    [
        (
            "AttributeError",
            "'PosixPath' object has no attribute 'encode'",
            "A PosixPath is passed where BCC takes a str or bytes.",
            "Write str(path).",
        ),
        (
            "TypeError",
            "can't concat str to bytes",
            "bytes and str meet: can't concat str to bytes.",
            "Write both as bytes",
        ),
        (
            "TypeError",
            "byref() argument must be a ctypes instance, not 'int'",
            "A map's key or value",
            "table[table.Key",
        ),
        ("error", "unpack requires a buffer of 108 bytes", "The Python side and the C side", "Let BCC make the type"),
    ],
)
def test_an_exception_that_bccs_users_meet_is_explained(lesson, exception, message, cause, advice):
    text = red(lesson, exception=exception, message=message, frames=(frame(lesson, "loader.py", 2),)).text
    assert text.startswith(f"{exception}: {message}\n\nlikely cause: {cause}")
    assert f"\ntry: {advice}" in text


@pytest.mark.parametrize(
    ("exception", "message"), [("KeyError", "23"), ("ValueError", "not enough"), ("AttributeError", "no attribute 'x'")]
)
def test_an_exception_that_no_rule_knows_stands_alone(lesson, exception, message):
    found = red(lesson, exception=exception, message=message, frames=(frame(lesson, "loader.py", 2),))
    assert found.text == f"{exception}: {message}"


def test_an_exception_outside_the_learners_code_is_not_explained(lesson):
    message = "'PosixPath' object has no attribute 'encode'"
    found = red(lesson, exception="AttributeError", message=message, frames=(frame(lesson, "test_small.py", 6),))
    assert found.text == f"AttributeError: {message}"


def test_an_assertion_of_the_learners_own_has_its_class(lesson):
    frames = (frame(lesson, "test_small.py", 6), frame(lesson, "loader.py", 2))
    assert red(lesson, message="no", frames=frames).text == "AssertionError: no"


def test_an_assertion_names_the_test_and_the_learners_lines(lesson):
    found = red(lesson, "test_two", frames=(frame(lesson, "test_small.py", 11),))
    assert (found.place, found.code) == ("lessons/90-small/test_small.py:11", "lessons/90-small/small.bpf.c:9")


def test_a_broken_test_is_red_at_the_learners_lines(lesson):
    told = {"exception": "AttributeError", "message": "'NoneType' object has no attribute 'x'"}
    found = red(lesson, frames=(frame(lesson, "test_small.py", 6),), **told)
    assert (found.place, found.code) == ("lessons/90-small/small.bpf.c:3", "")


def test_what_a_callback_kept_is_shown_at_its_line(lesson):
    kept = Kept(
        name="stream.error", exception="AttributeError", message="no 'time'", frames=(frame(lesson, "loader.py", 2),)
    )
    found = red(lesson, frames=(frame(lesson, "test_small.py", 6),), kept=kept)
    assert found.place == "lessons/90-small/loader.py:2"
    assert found.text == "assert 22 == 23\n\na callback raised AttributeError: no 'time' (kept in stream.error)"


IDLE_WELL = replace(WELL, programs=(IDLE,))


def test_a_likely_cause_is_about_the_failing_steps_program(lesson):
    assert "likely cause: count is attached to" in red(lesson, activity=IDLE_WELL).text
    assert verdict.LIKELY not in red(lesson, "test_two", activity=IDLE_WELL).text


def test_a_likely_cause_names_a_program_by_its_whole_name(lesson):
    other = replace(IDLE, id=8, name="sched__sched_pr")
    place = Attachment(program=8, kind="tracepoint", target="sched:sched_process_exec")
    facts = replace(WELL, programs=(PROGRAM, other), attachments=(KPROBE, place))
    assert "likely cause: tracepoint__sched__sched_process_exec is att" in red(lesson, "test_two", activity=facts).text


def test_a_program_that_was_read_has_no_likely_cause(lesson):
    assert verdict.LIKELY not in red(lesson, activity=WELL).text


@pytest.mark.parametrize("activity", [IDLE_WELL, replace(WELL, programs=())])
def test_nothing_is_likely_on_a_run_of_the_reference(lesson, activity):
    assert verdict.LIKELY in red(lesson, activity=activity).text
    assert verdict.LIKELY not in red(lesson, tree="solutions", activity=activity).text


def test_an_empty_map_that_is_emptied_again_means_nothing(course, lesson):
    empty = replace(WELL, maps=(replace(COUNTS, name="calls", entries=0, keys=()),))
    assert "wrote 0 entries into calls" in red(lesson, activity=empty).text
    text = (lesson.folder() / "small.bpf.c").read_text()
    course.write("small.bpf.c", text.replace("calls.increment(2)", "calls.delete(&key)"))
    assert verdict.LIKELY not in red(lesson, activity=empty).text


def test_a_queue_counts_as_output(lesson):
    queue = replace(COUNTS, type=22, entries=0, keys=())
    hash_map = replace(queue, id=4, type=1)
    both = replace(WELL, programs=(replace(PROGRAM, maps=(3, 4)),), maps=(queue, hash_map))
    assert verdict.LIKELY not in red(lesson, activity=both).text


def screen(lesson, *verdicts, tree="lessons", **more):
    """What `verify` prints of a lesson whose steps have these verdicts."""
    pairs = zip(lesson.steps, verdicts, strict=True)
    view = verify.View(lesson, [StepResult(step, one, int(one.kind == "done"), 1) for step, one in pairs], **more)
    console = Console(file=io.StringIO(), width=100)
    verify.show(view, console, tree)
    return console.file.getvalue()


WAITS = Verdict("blocked", text="blocked by step 1")


def test_the_screen_names_the_failing_test(lesson):
    seen = screen(lesson, Verdict("red", "lessons/x/test_small.py:6", "assert 22 == 23", test="test_one"), WAITS)
    assert "lessons/x/test_small.py:6  failing test: test_one\n    assert 22 == 23\n" in seen


def test_the_next_command_names_the_learners_line(lesson):
    place = "lessons/90-small/test_small.py:6"
    seen = screen(lesson, Verdict("red", place, "x", code="lessons/90-small/small.bpf.c:3"), WAITS)
    assert f"next: read {place}, fix lessons/90-small/small.bpf.c:3, then make lesson-90\n" in seen


@pytest.mark.parametrize(("tree", "more"), [("lessons", ""), ("solutions", " --tree solutions")])
def test_a_seed_says_how_it_is_used(lesson, tree, more):
    seen = screen(lesson, Verdict("red", "x:1", "x"), WAITS, tree=tree, seed=23)
    assert f"to repeat with the same random names: workbook verify 90{more} --seed 23\n" in seen


def test_a_red_reference_tells_no_one_to_edit_it(lesson):
    seen = screen(lesson, Verdict("red", "solutions/90-small/test_mine.py:6", "x"), WAITS, tree="solutions")
    assert "next: read solutions/90-small/test_mine.py:6, then make solution-90\n" in seen


def test_a_done_lesson_shows_no_seed(lesson):
    assert "--seed" not in screen(lesson, Verdict("done"), Verdict("done"), seed=23)


def test_the_todo_that_does_not_load_is_remembered(lesson):
    broken = Verdict("broken", "lessons/90-small/small.bpf.c:9:5", "no such helper")
    steps = [StepResult(lesson.steps[0], broken, 0, 1), StepResult(lesson.steps[1], WAITS, 0, 1)]
    verify.View(lesson, steps, request=request.of_lesson(lesson, "lessons")).remember()
    assert progress.standing(lesson).refused_in == 2


def test_a_program_that_does_not_load_is_said_above_the_list(lesson):
    asked = request.of_lesson(lesson, "lessons")
    broken = dataclasses.replace(Verdict("broken", "lessons/90-small/small.bpf.c:9:5", "no such helper"))
    rows = screen(lesson, broken, WAITS, request=asked).splitlines()
    assert rows[2] == "the program does not load: small.bpf.c, line 9, in TODO 2"
    assert rows[4].split()[:3] == ["✘", "1", "act"]


def test_a_line_of_no_todo_is_said_without_one(lesson):
    asked = request.of_lesson(lesson, "lessons")
    rows = screen(lesson, Verdict("broken", "lessons/90-small/small.bpf.c:2", "x"), WAITS, request=asked).splitlines()
    assert rows[2] == "the program does not load: small.bpf.c, line 2"


def test_of_a_long_log_the_end_is_shown_above_and_all_is_kept(lesson):
    log = "\n".join(f"line {number}" for number in range(60))
    rows = screen(lesson, Verdict("broken", "lessons/90-small/small.bpf.c:9", "words", log), WAITS).splitlines()
    assert [row for row in rows if row.startswith("line")] == [f"line {number}" for number in range(55, 60)]
    assert rows.index("line 59") < rows.index("    words")
    assert "all 60 lines: .workbook/explain/90-small.log" in rows
    assert (lesson.root / ".workbook/explain/90-small.log").read_text() == log + "\n"


def test_a_long_log_is_shown_to_its_essential_line(lesson):
    log = "\n".join(f"line {number}" for number in range(60))
    broken = Verdict(
        "broken", "lessons/90-small/small.bpf.c:9", "words", log, why=Explanation("load", message="line 20")
    )
    rows = screen(lesson, broken, WAITS).splitlines()
    assert [row for row in rows if row.startswith("line")] == [f"line {number}" for number in range(16, 21)]


def test_a_short_log_is_shown_whole(lesson):
    seen = screen(lesson, Verdict("broken", "lessons/90-small/small.bpf.c:9", "words", "one\ntwo"), WAITS)
    assert "the log:\none\ntwo\n\n" in seen
    assert not (lesson.root / ".workbook").exists()


def test_lines_on_a_terminal_break_between_words(lesson):
    console = Console(file=io.StringIO(), width=30, soft_wrap=True, force_terminal=True, color_system=None)
    found = Verdict("red", "x:1", "a sentence that is longer than one line of the screen")
    verify.show(verify.View(lesson, [StepResult(step, found, 0, 1) for step in lesson.steps]), console)
    rows = [row.rstrip() for row in console.file.getvalue().splitlines()]
    at = rows.index("    a sentence that is longer")
    assert rows[at + 1 : at + 3] == ["    than one line of the", "    screen"]


@pytest.mark.parametrize(
    ("found", "next_line"),
    [
        (Verdict("red", "lessons/90-small/loader.py:2", "x"), "next: edit lessons/90-small/loader.py:2 and save it"),
        (Verdict("done"), ""),
    ],
)
def test_watch_asks_for_no_command_that_it_runs_itself(lesson, found, next_line):
    console = Console(file=io.StringIO(), width=100)
    verify.show(verify.View(lesson, [StepResult(step, found, 0, 1) for step in lesson.steps]), console, watching=True)
    seen = [row for row in console.file.getvalue().splitlines() if row.startswith("next:")]
    assert seen == [next_line] * bool(next_line)
