"""The doctor on machines that cannot have the lab."""

from dataclasses import replace

import pytest
from labs import small

from harness.errors import SetupError
from harness.guest.observing import features
from harness.lab import saved
from harness.lab.image import cache
from harness.lab.image.disk import Disk
from harness.lab.image.target import default, kernel_named
from harness.learner import doctor
from harness.protocol.names import ALWAYS_NEEDED


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_on_another_system_the_devcontainer_is_its_one_finding(monkeypatch, system):
    monkeypatch.setattr("platform.system", lambda: system)
    (found,) = doctor.examine([], print)
    assert (found.name, found.state) == ("system", "missing")
    assert system in found.why
    assert found.remedy == "open the devcontainer (.devcontainer)"


def test_a_missing_program_is_named_with_the_command_to_fix_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(doctor.disk, "SBIN", "/nonexistent")
    monkeypatch.setattr(doctor.qemu, "find", doctor.qemu.find.__wrapped__)
    found = {finding.name: finding for finding in doctor.here(default())}
    for name in ("QEMU", *doctor.PROGRAMS):
        assert (found[name].state, found[name].remedy) == ("missing", "make setup"), name


def test_a_cache_that_others_may_write_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.root().mkdir()
    cache.root().chmod(0o777)
    found = doctor._space(default())
    assert (found.state, found.remedy) == ("missing", f"chmod -R go-w {cache.root()}, or export XDG_CACHE_HOME=…")


def test_a_lab_that_others_may_write_is_missing(monkeypatch):
    def refuse(target):
        raise SetupError("other users may write", remedy="chmod")

    monkeypatch.setattr(doctor.saved, "find", refuse)
    assert list(doctor.lab(default(), [], print)) == [
        doctor.Finding("lab", "missing", "other users may write", "chmod")
    ]


def test_a_lab_that_was_changed_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        doctor.saved,
        "find",
        lambda target: saved.SavedGuest(target, tmp_path, Disk(tmp_path / "disk", target.arch), None),
    )
    monkeypatch.setattr(doctor.accelerator, "remembered", lambda: None)
    [found] = doctor.lab(default(), [], lambda part: None)
    assert found.why == "changed since it was built: sealed.json, sealed.json"


@pytest.mark.parametrize(("kernel", "state"), [("6.12", "missing"), ("5.10", "note")])
def test_a_lesson_that_cannot_run_is_a_fault_of_the_default_lab(course, kernel, state):
    path = course.root / "lessons/90-small/lesson.toml"
    path.write_text(path.read_text().replace("needs = []", 'needs = ["fentry"]'))
    found = dict.fromkeys([*ALWAYS_NEEDED, *features.NEEDS], "") | {"fentry": "no trampolines"}
    target = replace(default(), kernel=kernel_named(kernel))
    [one] = doctor._for_lessons(target, [small(course)], found)
    assert (one.name, one.state) == ("lesson 90", state)
    assert one.why.endswith("no trampolines")
    [fine] = doctor._for_lessons(target, [small(course)], found | {"fentry": ""})
    assert fine.state == "ok"
