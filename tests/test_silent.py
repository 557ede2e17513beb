"""A program that loads and shows nothing: which of the usual causes it is."""

import json
import re
import shutil
import subprocess
import time
import typing
from dataclasses import replace

import pytest
from test_commands import ROOT, workbook

from harness.course.catalog import load
from harness.explain import causes
from harness.guest.observing import gather
from harness.protocol.facts import Activity, Asked, Attachment, Facts, Map, Program
from harness.protocol.messages import Reported
from harness.run import verdict
from harness.run.request import of_lesson

CASES = {
    "a": ("not-attached", "count is loaded and attached to nothing"),
    "b": ("elsewhere", "openat was called"),
    "h": ("elsewhere", "/libc.so.6"),
    "k": ("elsewhere", "openat was called"),
    "c": ("never-hit", "_sys_swapon, which was not reached once"),
    "d": ("filtered", "wrote 0 entries into calls"),
    "e": ("other-key", "holds the key 7, but your program looked up the key 0"),
    "f": ("not-read", "and none was read"),
    "g": ("trace-pipe", "Somebody else reads trace_pipe"),
    "y": ("", ""),
    "z": ("", ""),
}
"""Script in tests/silent, named by no cause → the cause, and what its sentence says; y and z are not silent.

k computes for longer than it is watched before it attaches: that is not counted as watching.
"""

PROGRAM = Program(id=7, name="count", type=2, runs=23, maps=(3,))
IDLE = replace(PROGRAM, runs=0)
KPROBE = Attachment(program=7, kind="kprobe", target="__x64_sys_getppid")
COUNTS = Map(id=3, name="counts", type=1, entries=2, keys=(5, 6), holds_workload=True)
WELL = Activity(counted=True, programs=(PROGRAM,), attachments=(KPROBE,), maps=(COUNTS,))
"""A program that ran, wrote and was read."""
RING = Map(id=3, name="ring", type=27, written=640)
PERF = Map(id=3, name="events", type=4)


ONLY_ITS_OWN = "    if (bpf_get_current_pid_tgid() >> 32 != 1)\n        return 0;\n    bpf_trace_printk("


def kind(**changes):
    """The kind of the cause where all is well but for `changes`."""
    found = causes.cause(replace(WELL, **changes))
    return found and found.kind


def test_a_program_that_ran_wrote_and_was_read_has_no_cause():
    assert kind() is None


def test_a_script_is_looked_at_after_something_has_happened_under_its_probes(monkeypatch, tmp_path):
    """On a busy machine one stir takes longer than the script is watched; the script attached in the midst of it."""
    stirs = []

    def stir():
        stirs.append(1)
        time.sleep(0.3)

    monkeypatch.setattr(gather, "_stir", stir)
    monkeypatch.setattr(gather, "_is_loaded", lambda folder: True)
    monkeypatch.setattr(gather.objects, "used_s", lambda pid: time.monotonic())
    monkeypatch.setattr(gather.objects, "attachments", lambda pid: stirs)
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    _, seen = gather._wait(child.pid, tmp_path, 0.2, 30, lambda pid: {"stirs": len(stirs)})
    child.returncode = 0  # waited for already
    assert seen["stirs"] >= 3


def test_each_cause_is_told_from_the_facts():
    on_open = (replace(KPROBE, target="__x64_sys_open"),)
    assert kind(programs=()) == "not-attached"
    assert kind(programs=(IDLE,), attachments=()) == "not-attached"
    assert kind(programs=(IDLE,)) == "never-hit"
    assert kind(programs=(IDLE,), attachments=on_open, syscalls={"openat": 46}) == "elsewhere"
    assert kind(maps=(replace(COUNTS, entries=0, keys=()),)) == "filtered"
    assert kind(maps=(replace(RING, written=0),)) == "filtered"
    assert kind(maps=(RING,)) == "not-read"
    assert kind(maps=(PERF,)) == "not-opened"
    assert kind(workload=(77,), maps=(replace(COUNTS, holds_workload=False),)) == "other-key"


def test_what_was_asked_of_a_map_tells_another_key_from_the_right_one():
    asked = Asked(map=3, looked_up=(9,))
    assert kind(asked=(asked,)) == "other-key"
    assert kind(asked=(replace(asked, looked_up=(5, 9)),)) is None
    assert kind(asked=(replace(asked, walked=True),)) is None


def test_a_kernel_that_counted_no_runs_is_not_taken_for_one_in_which_nothing_ran():
    assert kind(counted=False, programs=(IDLE,)) is None


def test_a_map_that_keeps_what_is_not_over_yet_is_no_filter_where_a_buffer_was_written():
    inside = Map(id=4, name="inside", type=1)
    entry = replace(PROGRAM, id=8, name="entry", maps=(4,))
    both = (KPROBE, replace(KPROBE, program=8))
    assert kind(programs=(entry, PROGRAM), attachments=both, maps=(inside, replace(RING, read=640))) is None


def test_a_red_test_that_saw_nothing_says_why():
    request = of_lesson(load(ROOT / "lessons/01-hello-kprobe"), "solutions")
    told = Facts(message="assert 0 == 23", activity=replace(WELL, programs=(IDLE,)))
    report = Reported(nodeid=next(iter(request.functions)), when="call", outcome="failed", duration=0, facts=told)
    found = verdict.of(report, request)
    assert (found.kind, verdict.NO_EVENTS in found.text) == ("red", True)
    assert "count is attached to __x64_sys_getppid, which was never hit" in found.text
    well = verdict.of(replace(report, facts=replace(told, activity=WELL)), request)
    assert (well.kind, verdict.NO_EVENTS in well.text) == ("red", False)


def test_each_cause_is_told_of_in_the_page():
    told = re.findall(r"^## (\S+)$", (ROOT / "docs/silent.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(typing.get_args(causes.Kind))


@pytest.mark.guest
def test_a_lesson_whose_filter_drops_all_is_told_so(tmp_path):
    for tree in ("lessons", "solutions"):
        shutil.copytree(ROOT / tree / "01-hello-kprobe", tmp_path / tree / "01-hello-kprobe")
    for name in ("loader.py", "hello_kprobe.bpf.c"):
        text = (ROOT / "solutions/01-hello-kprobe" / name).read_text()
        mine = text.replace("    bpf_trace_printk(", ONLY_ITS_OWN)
        (tmp_path / "lessons/01-hello-kprobe" / name).write_text(mine)
    seen = workbook("verify", "01", cwd=tmp_path)
    assert seen.returncode == 1
    assert f"{verdict.NO_EVENTS}hello_kprobe ran 23 times and wrote 0 entries into the trace" in seen.stdout


@pytest.mark.guest
def test_the_cause_of_each_silent_script_is_named():
    seen = workbook("explain", "--seconds", "1", "--json", *(f"tests/silent/{name}.py" for name in CASES))
    found = dict(zip(CASES, map(json.loads, seen.stdout.splitlines()), strict=True))
    assert {name: one["rule"] for name, one in found.items()} == {name: rule for name, (rule, _) in CASES.items()}
    for name, (_, text) in CASES.items():
        assert text in found[name]["cause"]
