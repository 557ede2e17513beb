"""Lessons by labs: failures / runs with reasons, in a stable order; a run that was killed goes on."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from labs import small
from rich.console import Console

from harness.errors import LabError
from harness.lab import saved
from harness.lab.image import target
from harness.measure import matrix, repeat

TARGETS = [one for one in target.every() if one.kernel.name in ("5.10", "6.12") and one.arch.name == "x86_64"]
FACTS = saved.Facts("6.12.1", "x86_64", "tcg", "told", "10.0", 1.5, 2.5, 3.5)


@pytest.fixture
def lesson(course):
    """The small lesson, with what its digest covers."""
    for name in ("loader.py", "test_small.py"):
        (course.root / "solutions/90-small" / name).write_text("")
    return small(course)


@pytest.fixture
def labs(monkeypatch, tmp_path):
    """What each lab says: `lacking` and the `failures` of its runs, in turn; `lost` has none; `ran` is what ran."""
    told = SimpleNamespace(lacking={}, failures=[], lost={}, ran=[], kernel="6.12.1")

    def ensure(one, say):
        if str(one) in told.lost:
            raise LabError(told.lost[str(one)])
        image = saved.disk.of(one)
        return saved.SavedGuest(one, Path(tmp_path), image, replace(FACTS, lacking=told.lacking, kernel=told.kernel))

    def once(lab, lesson):
        told.ran.append(lesson.name)
        return repeat.Run(lesson.name, 2.0, told.failures.pop(0) if told.failures else "")

    monkeypatch.setattr(matrix.saved, "ensure", ensure)
    monkeypatch.setattr(matrix, "_restore_s", lambda guest: 0.5)
    monkeypatch.setattr(matrix.repeat, "once", once)
    return told


def measure(lesson, runs=2, targets=TARGETS):
    return matrix.measure(lesson.root, [lesson], targets, runs, 1, lambda text: None)


def cells(found):
    return {cell.target: (str(cell), cell.reasons()) for cell in found.in_order()}


def test_a_cell_is_failures_of_runs_with_each_reason_once(lesson, labs):
    labs.failures = ["red", "red", "", "", "blue"]
    found = measure(lesson, runs=3)
    assert cells(found) == {"Linux 5.10, x86_64": ("2/3", ["red"]), "Linux 6.12, x86_64": ("1/3", ["blue"])}
    assert found.exit_code == 1


def test_a_lesson_that_cannot_run_is_a_skip_and_never_runs(course, labs):
    path = course.root / "lessons/90-small/lesson.toml"
    path.write_text(path.read_text().replace("needs = []", 'needs = ["fentry"]'))
    labs.lacking = {"fentry": "no trampolines"}
    found = measure(small(course), targets=TARGETS[:1])
    assert cells(found) == {"Linux 5.10, x86_64": ("skip", ["lesson 90 needs fentry: no trampolines"])}
    assert (labs.ran, found.exit_code) == ([], 0)


def test_a_lab_that_cannot_be_had_is_a_column_with_its_reason(lesson, labs):
    labs.lost = {"Linux 5.10, x86_64": "mmdebstrap failed with status 1:\nno suite"}
    found = measure(lesson)
    assert cells(found)["Linux 5.10, x86_64"] == ("lab", ["mmdebstrap failed with status 1: no suite"])
    assert cells(found)["Linux 6.12, x86_64"] == ("0/2", [])
    assert found.exit_code == 3


def test_what_ran_on_the_same_bytes_is_kept(lesson, labs, course):
    measure(lesson)
    assert len(labs.ran) == 4
    assert cells(measure(lesson)) == {str(one): ("0/2", []) for one in TARGETS}
    assert len(labs.ran) == 4
    measure(lesson, runs=3)
    assert len(labs.ran) == 6
    course.write("test_small.py", "# other bytes\n")
    measure(small(course), runs=1)
    assert len(labs.ran) == 8


def test_a_measurement_that_was_killed_goes_on(lesson, labs, monkeypatch):
    def killed(lab, lesson):
        if labs.ran:
            raise KeyboardInterrupt
        labs.ran.append(lesson.name)
        return repeat.Run(lesson.name, 2.0, "")

    with monkeypatch.context() as patch:
        patch.setattr(matrix.repeat, "once", killed)
        with pytest.raises(KeyboardInterrupt):
            measure(lesson)
    measure(lesson)
    assert len(labs.ran) == 4


def test_runs_on_another_release_do_not_count(lesson, labs):
    measure(lesson)
    labs.kernel = "6.12.2"
    measure(lesson)
    assert len(labs.ran) == 8


def test_notes_of_another_version_are_measured_again(lesson, labs):
    (lesson.root / ".workbook").mkdir()
    (lesson.root / ".workbook" / matrix.NOTES).write_text('{"lesson": 1}\n[{"les\n')
    assert cells(measure(lesson))["Linux 6.12, x86_64"] == ("0/2", [])


def test_two_measurements_keep_each_others_runs(lesson, labs, monkeypatch):
    other = []

    def once(lab, lesson):
        if not other:
            other.append(True)
            measure(lesson, targets=TARGETS[1:])
        labs.ran.append(lesson.name)
        return repeat.Run(lesson.name, 2.0, "")

    monkeypatch.setattr(matrix.repeat, "once", once)
    measure(lesson, targets=TARGETS[:1])
    assert len(labs.ran) == 4
    measure(lesson)
    assert len(labs.ran) == 4


def test_the_table_has_labs_reasons_and_figures(lesson, labs):
    labs.failures = ["red"]
    console = Console(width=200, record=True, file=io.StringIO())
    found = measure(lesson)
    matrix.show(found, console)
    shown = console.export_text()
    assert "90-small on Linux 5.10, x86_64: red" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.split()}
    assert rows["90-small"][:2] in (["1/2", "0/2"], ["on", "Linux"])
    assert rows["compile_s"] == ["3.5", "3.5"]
    assert rows["restore_s"] == ["0.5", "0.5"]
    json.dumps(found.data())
    assert [cell["failures"] for cell in found.data()["cells"]] == [1, 0]
