"""A program that loads and shows nothing: which of the usual causes it is."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import typing
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import recorded
from test_commands import ROOT, workbook

from harness.explain import causes
from harness.explain.ctext import Sources
from harness.explain.evidence import Evidence, of_gathered
from harness.explain.explanation import UNSEEN, explain
from harness.guest.observing import activity, gather
from harness.guest.testing import no_events
from harness.protocol.facts import (
    Activity,
    Arrived,
    Asked,
    Attachment,
    Buffers,
    Called,
    Facts,
    Gathered,
    Layout,
    Map,
    Part,
    Program,
    Script,
)  # fmt: skip
from harness.run import verdict

SILENT = ROOT / "tests/silent"
SCRIPTS = tomllib.loads((SILENT / "expected.toml").read_text())
"""Script in tests/silent, named by nothing that gives its cause away to the lab → its cause, and more."""
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


def test_a_script_is_examined_after_events_at_its_probes(monkeypatch, tmp_path):
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


ENDS = """\
import os, signal, sys, threading, time
from bcc import BPF
held = open("held", "w")
bpf = BPF(text="int x;")
bpf.attach_kprobe(event=b"x", fn_name=b"program")
for _ in range(3):
    bpf.perf_buffer_poll(10)
"""
READS = """\
import ctypes, struct
from bcc import BPF, table
BPF(text="int x;")

class Event(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint32), ("when", ctypes.c_uint32)]

def read(ctx, data, size):
    %s

table.RingBuf(b"calls", bytes(range(8))).open_ring_buffer(read)
"""


def looked_at(tmp_path, text, seconds=20.0):
    """What a script under a BCC without a kernel held, and had done, each time that it was looked at."""
    (tmp_path / "tool.py").write_text(text)
    path = os.pathsep.join([str(SILENT / "fake"), str(ROOT)])
    argv = [sys.executable, str(SILENT / "fake/looks.py"), str(tmp_path / "tool.py"), str(seconds)]
    ran = subprocess.run(argv, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_script_is_not_interrupted_while_it_attaches(tmp_path):
    slow = "import bcc\nbcc.SLOW_S = 1\nfor _ in range(3):\n    bpf.attach_kprobe(event=b'x', fn_name=b'y')\n"
    seen = looked_at(tmp_path, f"{ENDS}{slow}time.sleep(30)", seconds=0.5)
    assert seen["calls"]["attach_kprobe"][1] == 3


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit('nothing')", 1),
        ("{}['nothing']", 1),
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -15),
        ("signal.setitimer(signal.ITIMER_REAL, 0.1); time.sleep(9)", -14),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 0),
        ("os.fork() or os._exit(0)", 0),
        ("threading.Thread(target=lambda: time.sleep(0.2)).start()", 0),
    ],
)
def test_a_script_is_looked_at_before_its_end(tmp_path, end, status):
    seen = looked_at(tmp_path, ENDS + end)
    assert (seen["held"], seen["status"], seen["ended"]) == ([True], status, True)
    assert seen["calls"] == {"attach_kprobe": [5, 1], "perf_buffer_poll": [7, 3]}


def test_files_that_a_script_opens_are_its_work(tmp_path):
    """It works from its attaching on; what the one who watches it opens is none of that."""
    assert looked_at(tmp_path, ENDS)["opened"] == [0]
    assert looked_at(tmp_path, f"{ENDS}open('other', 'w').close()\n")["opened"] == [1]


def test_a_script_that_has_come_to_its_end_is_not_asked_again(tmp_path):
    """What it does then can take longer than it is watched, and its programs are gone."""
    seen = looked_at(tmp_path, f"import atexit\n{ENDS}atexit.register(time.sleep, 1.5)\n", 0.3)
    assert (seen["held"], seen["ended"]) == ([True], True)


def test_a_script_is_looked_at_before_it_cleans_up(tmp_path):
    assert looked_at(tmp_path, f"{ENDS}bpf.cleanup()\nheld.close()\n")["held"] == [True, False]


@pytest.mark.parametrize(
    ("read", "reader"),
    [
        ("ctypes.cast(data, ctypes.POINTER(Event)).contents", "Event"),
        ("Event.from_address(data)", "Event"),
        ("Event.from_buffer_copy(ctypes.string_at(data, size))", "Event"),
        ("event = Event(); ctypes.memmove(ctypes.byref(event), data, size)", "Event"),
        ("struct.unpack('<II', ctypes.string_at(data, 8))", "<II"),
    ],
)
def test_how_an_event_is_read_is_seen(tmp_path, read, reader):
    assert looked_at(tmp_path, READS % read)["readers"] == [reader]


def test_what_else_is_read_in_a_callback_is_no_event(tmp_path):
    assert (
        looked_at(tmp_path, READS % "struct.unpack('<I', b'1234'), Event.from_buffer_copy(bytes(8))")["readers"] == []
    )


def test_each_cause_is_inferred_from_the_facts():
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


LINE = (
    "int count(struct pt_regs *ctx)\n{\n    if (%s)\n        return 0;\n    counts.increment(key);\n    return 0;\n}\n"
)
WAITS = Script(ended=True)
WORKS = Script(ended=True, worked=23, own_calls={"getpgid": 23})
NOTHING = {"maps": (replace(COUNTS, entries=0, keys=()),)}


def of_script(script, text="", **changes):
    """The cause of a script where all is well but for `changes`."""
    return causes.cause(replace(WELL, script=script, **changes), Sources(own=text))


def test_a_script_that_only_waits_is_not_accused_of_waiting():
    assert of_script(WAITS, programs=(IDLE,)) is None
    assert of_script(WORKS, programs=(IDLE,)).kind == "never-hit"


def test_a_size_that_is_waited_for_is_no_filter_that_drops_all():
    assert of_script(WAITS, LINE % "took < 1000", **NOTHING) is None
    assert of_script(WAITS, LINE % "event->pid != 1", **NOTHING).kind == "filtered"
    assert of_script(WORKS, LINE % "took < 1000", **NOTHING).kind == "filtered"


def test_a_check_for_null_is_no_filter():
    text = (
        "int count(struct pt_regs *ctx)\n{\n    u64 *from = begun.lookup(&key);\n    if (!from)\n        return 0;\n}\n"
    )
    assert Sources(own=text).filters("count") == []


@pytest.mark.parametrize("piece", ["/*", "if (", "if (a) {", "a = ", "BPF_HASH(", "if (a || b)\n return 0;\n"])
def test_a_text_of_any_shape_is_searched_within_a_second(piece):
    sources = Sources(own=("int count(void *ctx)\n{\n" + piece * 64_000)[:64_000])
    begin = time.process_time()
    sources.filters("count"), sources.result_line("count"), sources.key_line("counts")
    assert time.process_time() - begin < 1


def test_a_queue_is_written_into_as_far_as_anyone_knows():
    assert of_script(WAITS, LINE % "pid != 1", maps=(replace(COUNTS, type=22, entries=0, keys=()),)) is None


def test_a_map_that_was_emptied_held_something():
    read = (Asked(map=3, walked=True, deleted=True),)
    assert of_script(WORKS, LINE % "pid != 1", asked=read, **NOTHING) is None
    assert of_script(WORKS, LINE % "pid != 1" + "counts.delete(&key);", **NOTHING) is None


def test_a_script_that_probes_all_of_a_family_is_right():
    on = [replace(KPROBE, program=7 + n, target=f"__x64_sys_{name}") for n, name in enumerate(("open", "openat"))]
    both = {"programs": (IDLE, replace(PROGRAM, id=8)), "attachments": tuple(on), "syscalls": {"openat": 46}}
    assert of_script(WAITS, **both) is None
    assert of_script(WAITS, programs=(IDLE,), attachments=(on[0],), syscalls={"openat": 46}).kind == "elsewhere"


@pytest.mark.parametrize(
    ("target", "due"),
    [("__x64_sys_getppid", "never-hit"), ("syscalls:sys_enter_getppid", "never-hit"), ("oom_kill_process", None)],
)
def test_work_does_not_tell_how_the_kernel_is_reached(target, due):
    found = of_script(WORKS, programs=(IDLE,), attachments=(replace(KPROBE, target=target),))
    assert (found and found.kind) == due


def test_one_idle_program_is_no_fault_where_something_came():
    both = (IDLE, replace(PROGRAM, id=8))
    came = replace(WORKS, arrived=(Arrived(table="events", events=3),))
    assert of_script(came, programs=both) is None
    assert of_script(WORKS, programs=both).kind == "never-hit"


def test_programs_that_were_attached_are_not_said_to_be_missing():
    attached = (Called(what="attach_kprobe", name="count"),)
    gone = {"programs": (), "attachments": (), "maps": ()}
    assert of_script(Script(calls=attached), **gone) is None
    found = of_script(Script(calls=(*attached, Called(what="cleanup"))), **gone)
    assert (found.kind, "cleanup()" in found.text) == ("not-attached", True)
    assert of_script(Script(), **gone).kind == "not-attached"


def test_a_call_before_the_attaching_comes_too_early():
    early = Script(ended=True, too_early={"getppid": 7})
    found = of_script(early, programs=(IDLE,))
    assert (found.kind, "called getppid 7 times before count was attached" in found.text) == ("never-hit", True)


def test_keys_that_differ_in_padding_alone_are_one_key():
    spread = (replace(COUNTS, entries=22, distinct=2),)
    assert of_script(WAITS, maps=spread, printed=22).kind == "padding"
    assert of_script(WAITS, maps=(replace(COUNTS, entries=22, distinct=22),), printed=22) is None
    assert of_script(WAITS, maps=(replace(COUNTS, distinct=2, unset=1),), printed=22).kind == "padding"


def test_a_few_lost_events_are_told_by_bcc_itself():
    def lost(number, own=False):
        arrived = (Arrived(table="events", events=1000, lost=number, own_lost=own),)
        return of_script(Script(arrived=arrived), printed=1000)

    assert lost(3) is None
    assert lost(5000).kind == "lost"
    assert lost(500, own=True) is None


def read_as(*read, size=16):
    """The cause where C has a u32 pid and a u64 when, and Python read them so."""
    fields = (Part(name="pid", offset=0, size=4), Part(name="when", offset=8, size=8))
    parts = tuple(Part(name=name, offset=offset, size=size) for name, offset, size in read)
    one = Layout(table="events", what="event", reader="Event", size=16, read_size=size, fields=fields, read=parts)
    return of_script(Script(layouts=(one,)), printed=9)


def test_a_structure_that_differs_from_that_in_c_is_named():
    assert "when is at byte 8 in C and at byte 4" in read_as(("pid", 0, 4), ("when", 4, 8)).text
    assert "when has 8 bytes in C and 4 bytes" in read_as(("pid", 0, 4), ("when", 8, 4)).text
    assert "when is at byte 8 in C and read as time at byte 4" in read_as(("pid", 0, 4), ("time", 4, 8)).text
    assert "it has 16 bytes in C and 32 bytes" in read_as(("whole", 0, 32), size=32).text


def test_a_structure_with_its_padding_named_is_right():
    assert read_as(("pid", 0, 4), ("pad", 4, 4), ("when", 8, 8)) is None
    assert read_as(("pid", 0, 4), size=4) is None
    assert read_as(("number", 0, 4), ("time", 8, 8)) is None


def test_a_ring_that_is_polled_as_a_perf_buffer_is_named():
    def polled(*calls):
        found = of_script(Script(calls=tuple(Called(what=what, name=name) for what, name in calls)), maps=(RING,))
        return found and found.kind

    opened = ("open_ring_buffer", "ring")
    assert polled(("perf_buffer_poll", "")) == "not-opened"
    assert polled(opened, ("perf_buffer_poll", "")) == "other-poll"
    assert polled(opened) == "not-read"
    assert polled(opened, ("ring_buffer_poll", "")) == "not-read"


def test_a_buffer_beside_an_open_one_can_be_closed():
    other = Script(calls=(Called(what="open_perf_buffer", name="others"),))
    assert of_script(other, maps=(PERF,), buffers=Buffers(open=2)).kind == "not-opened"


def test_a_result_is_read_at_the_return():
    text = "int count(struct pt_regs *ctx)\n{\n    int got = PT_REGS_RC(ctx);\n    return 0;\n}\n"
    assert of_script(WAITS, text).kind == "at-entry"
    assert of_script(WAITS, text, attachments=(replace(KPROBE, kind="kretprobe"),)) is None
    assert of_script(WAITS, text.replace("int got", "// int got")) is None


def test_map_lookups_tell_a_wrong_key_from_the_right_one():
    asked = Asked(map=3, looked_up=(9,))
    assert kind(asked=(asked,)) == "other-key"
    assert kind(asked=(replace(asked, looked_up=(5, 9)),)) is None
    assert kind(asked=(replace(asked, walked=True),)) is None


def test_missing_run_counts_are_not_zero_runs():
    assert kind(counted=False, programs=(IDLE,)) is None


def test_a_map_of_open_calls_is_no_filter_if_a_buffer_is_written():
    inside = Map(id=4, name="inside", type=1)
    entry = replace(PROGRAM, id=8, name="entry", maps=(4,))
    both = (KPROBE, replace(KPROBE, program=8))
    assert kind(programs=(entry, PROGRAM), attachments=both, maps=(inside, replace(RING, read=640))) is None


@pytest.mark.parametrize(("ran", "asked"), [((), False), ((77,), True)])
def test_the_kernel_is_asked_only_once_a_workload_ran(monkeypatch, ran, asked):
    monkeypatch.setattr(no_events, "_holds_bpf", lambda value: True)
    monkeypatch.setattr(no_events.activity, "of_process", lambda *_: WELL)
    monkeypatch.setattr(no_events.Workload, "pids", set(ran))
    item, call = SimpleNamespace(funcargs={"workload": None}), SimpleNamespace(when="call", excinfo=True)
    report = SimpleNamespace(facts=Facts(message="assert 0 == 23"))
    making = no_events.NoEvents().pytest_runtest_makereport(item, call)
    next(making)
    with pytest.raises(StopIteration):
        making.send(report)
    assert (report.facts.activity is not None) == asked


def test_the_page_explains_each_cause():
    told = re.findall(r"^## (\S+)$", (ROOT / "docs/silent.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(typing.get_args(causes.Kind))


KEPT = [name for name in SCRIPTS if recorded.kept(SILENT / f"{name}.py", "silent").exists()]


def test_all_scripts_were_recorded():
    print(f"{len(KEPT)} of {len(SCRIPTS)}")
    assert len(KEPT) == len(SCRIPTS)


@pytest.mark.parametrize("name", KEPT)
def test_a_recorded_script_is_explained_at_its_line(name):
    found = recorded.recall(SILENT / f"{name}.py", "silent")
    assert (found.rule, SCRIPTS[name].get("at", "") in found.source) == (SCRIPTS[name]["cause"], True)


def test_four_scripts_have_each_cause_and_half_of_them_end():
    causes_of = Counter((one["cause"], one["ends"]) for one in SCRIPTS.values() if one["cause"])
    assert {cause for cause, _ in causes_of} == set(typing.get_args(causes.Kind))
    assert {one: count for one, count in causes_of.items() if count < 2} == {}


def said_of(script, **changes):
    """The explanation of a script that ran without a failure."""
    seen = replace(WELL, script=script, **changes)
    return explain(Evidence(stage="ok", text="", activity=seen))


def test_a_script_that_waits_is_told_what_it_waits_for():
    found = said_of(WAITS, programs=(IDLE,))
    assert (found.kind, "count waits at __x64_sys_getppid, which was not reached" in found.cause) == ("ok", True)


def test_a_filter_in_python_is_told_what_arrived():
    found = said_of(Script(ended=True, arrived=(Arrived(table="events", events=7),)), printed=1)
    assert found.kind == "ok"
    assert "7 events of events arrived in Python. Nothing that is wrong was found" in found.cause
    assert "a filter in Python" in found.cause


@pytest.mark.guest
def test_a_filter_that_drops_everything_is_reported(tmp_path):
    for tree in ("lessons", "solutions"):
        shutil.copytree(ROOT / tree / "01-hello-kprobe", tmp_path / tree / "01-hello-kprobe")
    for name in ("loader.py", "hello_kprobe.bpf.c"):
        text = (ROOT / "solutions/01-hello-kprobe" / name).read_text()
        mine = text.replace("    bpf_trace_printk(", ONLY_ITS_OWN)
        (tmp_path / "lessons/01-hello-kprobe" / name).write_text(mine)
    seen = workbook("verify", "01", cwd=tmp_path)
    assert seen.returncode == 1
    assert f"{verdict.LIKELY}hello_kprobe ran 23 times and wrote 0 entries into the trace" in seen.stdout


def examine(names):
    """Run scripts in the lab: each must have its cause, at its line."""
    paths = [SILENT / f"{name}.py" for name in names]
    said = {path.stem: recorded.said(one, path) for path, one in zip(paths, recorded.gathered(paths), strict=True)}
    assert {name: one.rule for name, one in said.items()} == {name: SCRIPTS[name]["cause"] for name in names}
    assert [name for name, one in said.items() if SCRIPTS[name].get("at", "") not in one.source] == []


@pytest.mark.guest
def test_a_few_silent_scripts_are_explained_in_the_lab():
    examine([path.stem for path in recorded.drawn([SILENT / f"{name}.py" for name in SCRIPTS], "silent", 3)])


@pytest.mark.guest
@pytest.mark.long
@pytest.mark.timeout(2400)
def test_each_silent_script_is_explained_in_the_lab():
    examine(SCRIPTS)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("at_entry_exits", 'bpf.attach_kretprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")'),
        ("elsewhere_open", 'bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"openat"), fn_name=b"opened")'),
        ("padding_opens", "struct place place = {};"),
        ("pointer_key", "u64 one = 1, *seen = counts.lookup(who);"),
        ("other_poll_raises", "bpf.perf_buffer_poll(50)"),
    ],
)
def test_advice_about_a_silent_script_is_a_changed_line(name, row):
    path = SILENT / f"{name}.py"
    (change,) = recorded.recall(path, "silent").changes
    assert row in change.rows(path.read_text())[0][1]


@pytest.mark.parametrize(("name", "cause"), [("tool.py", UNSEEN), ("tool.bpf.c", "")])
def test_a_script_that_could_not_be_watched_is_not_called_silent(name, cause):
    path = Path("/t") / name
    found = explain(of_gathered(Gathered(file=str(path), status=0, stage="run", modules=1), {path: ""}))
    assert (found.kind, found.cause) == ("ok", cause)


def test_a_kernel_without_hist_triggers_is_not_observed(tmp_path, monkeypatch):
    """Debian's 5.10 has none: scripts are explained there, without what they saw."""
    monkeypatch.setattr(activity, "TRACING", tmp_path)
    monkeypatch.setattr(gather, "_detach_xdp", lambda: None)
    seen = []
    monkeypatch.setattr(gather, "_observe", lambda *_, observer: seen.append(observer))
    gather.of_script(tmp_path / "tool.py", 1)
    assert seen == [None]


@pytest.mark.parametrize(
    ("name", "token", "since"),
    [
        ("at_entry_exits", "PT_REGS_RC",
         ('line 19: bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")',)),
        ("elsewhere_open", "open", ()),
        ("pointer_key", "&who", ()),
        ("other_poll_raises", "ring_buffer_poll", ()),
    ],
)  # fmt: skip
def test_the_word_at_fault_in_a_silent_script_is_underlined(name, token, since):
    found = recorded.recall(SILENT / f"{name}.py", "silent")
    column, width = found.mark
    assert (found.source[column - 1 : column - 1 + width], found.since) == (token, since)
