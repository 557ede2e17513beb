"""The learner's code beside the reference: numbers of the kernel's, put together and shown."""

import io
import json
import shutil
from dataclasses import replace

import pytest
from labs import FakeLab
from rich.console import Console
from test_commands import ROOT, workbook

from harness.course.catalog import load
from harness.guest.observing import objects
from harness.guest.testing.cost import Measure
from harness.learner import compare
from harness.protocol.facts import Map, Measured, Program
from harness.protocol.messages import Collected, Exited
from harness.run.outcome import StepResult
from harness.run.verdict import Verdict

LESSON = load(ROOT / "lessons/01-hello-kprobe")
COST = compare.Cost("hello_kprobe", 23, 141, 31, 40, 8192, 46)


def program(number, **changes):
    known = Program(
        id=number, name="hello", type=2, runs=23, run_ns=23_000, maps=(3,), xlated=184, jited=141, verified=31, stack=40
    )
    return replace(known, **changes)


def side(kind="done", costs=(COST,), lost=0):
    return compare.Side([StepResult(LESSON.steps[0], Verdict(kind), 3, 3)], list(costs), lost)


def shown(mine, reference):
    screen = io.StringIO()
    compare.show(LESSON, mine, reference, Console(file=screen, width=100, highlight=False))
    return screen.getvalue().splitlines()


def row(lines, title):
    return next(line.split(title)[1].split() for line in lines if title in line)


def measured(*programs):
    return Measured(programs=programs, maps=(Map(id=3, bytes=4096),), lost=0)


def test_compare_adds_up_the_last_counts_of_each_load():
    looks = [measured(program(1)), measured(program(1, runs=46)), measured(program(2, stack=64))]
    assert compare.costs(looks) == [compare.Cost("hello", 23, 141, 31, 64, 4096, 69)]


def test_both_stand_side_by_side():
    lines = shown(side("red", [replace(COST, xlated=40)], lost=5), side())
    assert row(lines, "instructions  ") == ["40", "23"]
    assert row(lines, "events lost") == ["5", "0"]
    assert row(lines, LESSON.steps[0].title) == ["red", "3/3", "done", "3/3"]


def test_each_row_is_explained_under_the_table():
    lines = shown(side(), side())
    for _, title, meaning in (*compare.ROWS, compare.LOST):
        assert f"  {title}: {meaning}" in lines
        assert row(lines, f"{title}  ") is not None


def test_no_row_shows_a_time():
    assert "ns" not in " ".join(shown(side(), side())).split()
    assert "time" not in " ".join(shown(side(), side()))


def test_steps_that_are_left_out_are_said_to_be():
    steps = tuple(replace(step, mutant="m" if step.number in (2, 4) else "") for step in LESSON.steps)
    screen = io.StringIO()
    compare.show(replace(LESSON, steps=steps), side(), side(), Console(file=screen, width=100, highlight=False))
    assert "left out: steps 2 and 4, your test: workbook judge 01" in screen.getvalue()


def test_a_program_of_one_side_has_no_numbers_on_the_other():
    lines = shown(side(costs=()), side())
    assert row(lines, "machine code (bytes)") == ["-", "141"]


def test_it_is_done_when_both_sides_are():
    assert compare.done([side(), side()])
    assert not compare.done([side("todo"), side()])
    assert not compare.done([replace(side(), unreadable="SyntaxError"), side()])


def test_a_specification_that_lost_its_tests_is_not_done(answered):
    (answered / "lessons" / LESSON.name / LESSON.tests.name).write_text("")
    lab = FakeLab(Collected(tests=()), Exited(status=0))
    both = compare.compare(lab, load(answered / "lessons" / LESSON.name), 23, lambda _: None)
    assert [one.verdict.kind for one in both[0].steps][:1] == ["not run"]
    assert not compare.done(both)


def test_programs_with_the_same_cut_name_are_told_apart(monkeypatch):
    measure, ids = Measure(), {5: 11, 6: 12}
    monkeypatch.setattr(objects, "fdinfo", lambda pid, fd: {"prog_id": str(ids[fd])})
    cut = Program(id=11, name="sched__sched_pr", type=5, xlated=8, jited=8, verified=1)
    monkeypatch.setattr(objects, "programs", lambda pid: [cut, replace(cut, id=12)])
    monkeypatch.setattr(objects, "maps", lambda numbers: [])

    def load(module, kind, name, *rest):
        rest[5].value = b"stack depth " + (b"16+8" if name.endswith(b"exec") else b"32")
        return 5 if name.endswith(b"exec") else 6

    for name in (b"tracepoint__sched__sched_process_exec", b"tracepoint__sched__sched_process_exit"):
        measure._loading(load)(None, 5, name, *[0] * 9)
    told = [(one.name, one.stack) for one in measure.numbers().programs]
    assert told == [("tracepoint__sched__sched_process_exec", 24), ("tracepoint__sched__sched_process_exit", 32)]


WASTEFUL = "    char comm[16] = {};\n    char more[200] = {};\n\n    bpf_get_current_comm(more, sizeof(more));\n"


@pytest.fixture
def answered(tmp_path):
    """A checkout in which lesson 01 is done, with a larger stack than it needs."""
    for tree in ("lessons", "solutions"):
        shutil.copytree(ROOT / tree / LESSON.name, tmp_path / tree / LESSON.name)
    for name in ("loader.py", "hello_kprobe.bpf.c"):
        text = (LESSON.folder("solutions") / name).read_text()
        (tmp_path / "lessons" / LESSON.name / name).write_text(text.replace("    char comm[16] = {};\n", WASTEFUL))
    return tmp_path


@pytest.mark.guest
def test_an_answer_that_wastes_stack_is_seen_to(answered):
    seen = workbook("compare", "01", "--json", "--seed", "23", cwd=answered)
    found = json.loads(seen.stdout)
    (mine,), (reference,) = found["yours"]["programs"], found["reference"]["programs"]
    assert [one["verdict"] for side in ("yours", "reference") for one in found[side]["steps"]] == ["done"] * 10
    assert seen.returncode == 0
    assert mine["name"] == reference["name"] == "hello_kprobe"
    assert mine["stack"] - reference["stack"] > 100
    assert mine["verified"] > reference["verified"] > 0
    assert mine["xlated"] > reference["xlated"] > 0 < reference["jited"] < mine["jited"]
    assert min(mine["events"], reference["events"]) >= 3 * 23
    assert "ns" not in mine
