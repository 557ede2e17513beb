"""A lesson that cannot run in a lab is skipped with its reason, in each view, and is never green."""

import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from labs import FakeLab, small, whole

from harness.cli import author
from harness.course.catalog import Course
from harness.errors import LabError
from harness.guest.observing import features
from harness.lab import saved
from harness.lab.image import kernels
from harness.lab.image.architecture import X86_64
from harness.lab.image.target import Target, chosen
from harness.learner import progress, verify
from harness.protocol import names
from harness.protocol.messages import Ready, Warmed
from harness.run import needs, outcome
from harness.run.request import of_lesson

WHY = "lesson 90 needs fentry: no trampolines"
TESTS = """\
import pytest

@pytest.mark.step(1)
def test_act():
    pass

@pytest.mark.step(2)
@pytest.mark.parametrize("x", ["a", "b"])
def test_again(x):
    pass
"""


@pytest.fixture
def lesson(course):
    """The small lesson, which needs fentry."""
    path = course.root / "lessons/90-small/lesson.toml"
    path.write_text(path.read_text().replace("needs = []", 'needs = ["kprobe", "fentry"]'))
    course.write("test_small.py", TESTS)
    for tree in ("lessons", "solutions"):
        (course.root / tree / "90-small/loader.py").write_text("")
    return small(course)


def lab(lesson, **lacking):
    """It would say that all passes."""
    made = FakeLab(*whole(of_lesson(lesson, "lessons")))
    made.lacking = lacking
    return made


def test_what_is_lacking_and_not_needed_is_no_reason(lesson):
    assert needs.lacking(lab(lesson, btf="none"), lesson) == ""
    assert needs.lacking(lab(lesson, btf="none", fentry="no trampolines"), lesson) == WHY


def test_each_test_is_skipped_and_no_guest_is_opened(lesson):
    without = lab(lesson, fentry="no trampolines")
    results = outcome.run(without, of_lesson(lesson, "lessons"))
    assert [(one.verdict.kind, one.verdict.text) for one in results.tests.values()] == 2 * [
        ("skipped", f"Skipped: {WHY}")
    ]
    assert not results.green
    assert without.opened == 0


def test_verify_shows_the_reason_and_is_not_done(lesson):
    view = verify.verify(lab(lesson, fentry="no trampolines"), lesson, "lessons", print, 1)
    assert (view.exit_code, view.open.verdict.text) == (1, f"Skipped: {WHY}")
    assert verify.next_command(view, "lessons") == "make doctor"
    view.remember()
    assert progress.standing(lesson).verdict == "skipped"
    assert not progress.standing(lesson).was_done


def test_progress_names_a_lab_that_is_not_the_default(lesson):
    other = lab(lesson)
    other.on = "Linux 5.10, x86_64"
    verify.verify(other, lesson, "lessons", print, 1).remember()
    assert progress.standing(lesson).on == "Linux 5.10, x86_64"
    verify.verify(lab(lesson), lesson, "lessons", print, 1).remember()
    assert progress.standing(lesson).on == ""


def test_a_program_that_cannot_run_is_not_started(lesson):
    with pytest.raises(LabError, match=WHY):
        needs.refuse(lab(lesson, fentry="no trampolines"), lesson)
    needs.refuse(lab(lesson), lesson)


PLUGIN = """
from pathlib import Path
from labs import FakeLab
from harness.lab import choose
def open_lab(name, target, say):
    lab = FakeLab()
    lab.lacking = {"fentry": "no trampolines"}
    return lab
choose.open_lab = open_lab
"""


def test_pytest_skips_with_the_reason_and_fails(lesson, course, monkeypatch):
    (course.root / "other_lab.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", f"{course.root}:{__file__.rpartition('/')[0]}")
    seen = course.pytest("-p", "other_lab", "-rs", "lessons/90-small")
    assert seen.code == 1
    assert set(seen.skipped.values()) == {WHY}
    assert len(seen.skipped) == 3


def test_each_need_of_the_course_is_a_feature_that_is_tried():
    wanted = {need for lesson in Course.load(Path(__file__).parents[1]) for need in lesson.needs}
    assert wanted <= features.NEEDS.keys()
    assert tuple(one.__name__ for one in features.GENERAL) == names.ALWAYS_NEEDED


def test_a_probe_that_breaks_counts_as_lacking(monkeypatch):
    def breaks():
        raise OSError("no such thing")

    monkeypatch.setattr(features, "GENERAL", ())
    monkeypatch.setattr(features, "NEEDS", {"breaks": breaks})
    assert features.found() == {"breaks": "OSError: no such thing"}


def test_an_author_proves_nothing_of_a_lesson_that_cannot_run(lesson, tmp_path, capsys):
    target = Target(kernels.DEFAULT, X86_64)
    facts = saved.Facts("6.12.1", "x86_64", "tcg", "", "10.0", 1, 1, 1)
    guest = saved.SavedGuest(target, tmp_path, saved.disk.of(target), facts)
    assert author._able(guest, [lesson]) == [lesson]
    guest = replace(guest, facts=replace(facts, lacking={"fentry": "no trampolines"}))
    assert author._able(guest, [lesson]) == []
    assert f"skip   90-small: {WHY}" in capsys.readouterr().err


class Booted:
    """A guest that boots and answers so."""

    def __init__(self, ready, warmed):
        self._answers = {Ready: ready, Warmed: warmed}
        self.channel = self
        self.monitor, self.pid = object(), os.getpid()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def expect(self, kind, _):
        return self._answers[kind]

    def request(self, _):
        pass


GOOD = Ready(kernel="6.12.1", machine="x86_64")
HEADERS = (
    "BCC cannot load an empty program: Failed to compile BPF module (linux/x.h:3:1: error: unknown type name 'u128')"
)


@pytest.mark.parametrize(
    ("ready", "warmed", "why"),
    [
        (replace(GOOD, kernel="6.1.4"), None, "the guest runs Linux 6.1.4 on x86_64, expected Linux 6.12, x86_64"),
        (replace(GOOD, machine="aarch64"), None, "the guest runs Linux 6.12.1 on aarch64"),
        (GOOD, Warmed(import_s=1, compile_s=0, lacking={"compiler": HEADERS, "fentry": "no"}), HEADERS),
    ],
    ids=["another kernel", "another architecture", "headers that BCC cannot compile"],
)
def test_a_guest_that_is_no_lab_is_refused_in_a_sentence(tmp_path, monkeypatch, ready, warmed, why):
    monkeypatch.setattr(saved.initramfs, "files", lambda image: {})
    monkeypatch.setattr(saved, "Machine", lambda *_, **__: Booted(ready, warmed))
    target = Target(kernels.DEFAULT, X86_64)
    choice = saved.Choice("tcg", "", "")
    with pytest.raises(LabError, match=re.escape(why)):
        saved._build(target, saved.disk.of(target), choice, tmp_path, print)


def test_a_guest_saved_on_a_busy_machine_keeps_no_long_deadlines(tmp_path, monkeypatch):
    """It had no CPU for three of four seconds of the warm-up."""
    monkeypatch.setattr(saved.initramfs, "files", lambda image: {})
    monkeypatch.setattr(saved, "Machine", lambda *_, **__: Booted(GOOD, Warmed(import_s=1, compile_s=24, lacking={})))

    async def save(*_):
        pass

    clock = itertools.count(step=4)
    monkeypatch.setattr(saved, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(saved, "Watch", lambda pid: lambda: 3)
    monkeypatch.setattr(saved, "_save", save)
    target = Target(kernels.DEFAULT, X86_64)
    saved._build(target, saved.disk.of(target), saved.Choice("tcg", "", ""), tmp_path, print)
    assert json.loads((tmp_path / "facts.json").read_text())["compile_s"] == 6


@pytest.mark.guest
def test_the_guest_is_what_was_asked_for_and_says_what_it_lacks():
    """Of the features, old kernels and arm64 lack some; what the lessons of the course need is everywhere."""
    target = chosen()
    facts = saved.ensure(target, print).facts
    assert (facts.kernel.startswith(target.kernel.release), facts.arch) == (True, target.arch.name)
    assert facts.lacking.keys() <= {"fentry", "kprobe_multi"}
    if target.kernel == kernels.DEFAULT and target.arch == X86_64:
        assert facts.lacking == {}
