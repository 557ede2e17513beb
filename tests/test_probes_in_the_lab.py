"""What `workbook probes` says is so in the lab's kernel: each question's probes see its workload; others agree."""

import re
import shlex
from pathlib import Path

import pytest

from harness.authoring import pages
from harness.course.catalog import Course
from harness.lab.choose import open_lab
from harness.lab.image import target
from harness.probes import asking, questions
from harness.probes.points import Function, Tracepoint
from harness.probes.questions import Named, Question

pytestmark = pytest.mark.guest
ROOT = Path(__file__).resolve().parent.parent
BEGIN = """\
cd /sys/kernel/tracing
echo 1 >options/event-fork
seen() {  # NUMBER NAME LABEL
    echo "$1 $2 $(grep -c " $3" trace)"
}
"""
"""A shell's script that counts for each question what its probes see of its workload's processes alone."""
ONE = """\
echo >trace; echo >set_event_pid
{attach}
mkdir /tmp/{number}
export TRY={workload}
(cd /tmp/{number}; sh -c 'echo $$ >/sys/kernel/tracing/set_event_pid; exec bash -c "$TRY"') >/dev/null 2>&1
echo 0 >events/enable
{count}
echo >kprobe_events
"""


@pytest.fixture(scope="module")
def lab():
    """The default lab; each test opens guests of it."""
    with open_lab("vm", target.chosen(), print) as opened:
        yield opened


CONTROL = Question(
    "who removes directories", (), "true", (Named("vfs_rmdir", ""), Named("syscalls:sys_enter_unlinkat", ""))
)
"""Its workload does nothing that its probes see."""


def script(asked):
    """The questions' workloads, with their probes attached through tracefs, not through our own code."""
    parts = [BEGIN]
    for number, question in enumerate(asked):
        attach, count = [], []
        for one in question.probes:
            if one.is_tracepoint:
                attach.append(f"echo 1 >events/{one.name.replace(':', '/')}/enable")
                name = one.name.split(":")[1]
                label = f"{name.replace('sys_enter_', 'sys_')}(" if name.startswith("sys_enter_") else f"{name}: "
            else:
                attach += [f"echo p:asked/{one.name} {one.name} >>kprobe_events"]
                attach += [f"echo 1 >events/asked/{one.name}/enable"]
                label = f"{one.name}: ("
            count.append(f"seen {number} {one.name} {shlex.quote(label)}")
        parts.append(
            ONE.format(
                attach="\n".join(attach),
                number=number,
                workload=shlex.quote(question.workload),
                count="\n".join(count),
            )
        )
    return "".join(parts)


def test_each_questions_probes_see_its_workload(lab):
    asked = [*questions.every(), CONTROL]
    with lab.open() as guest:
        guest.put({Path("/root/asked.sh"): script(asked).encode()})
        done = guest.run(["sh", "/root/asked.sh"], timeout_s=300)
    print(done.out, done.err)
    rows = [row.split() for row in done.out.splitlines()]
    assert len(rows) == sum(len(question.probes) for question in asked)
    blind = {f"{asked[int(number)].ask}: {name}" for number, name, count in rows if count == "0"}
    assert blind == {f"{CONTROL.ask}: {one.name}" for one in CONTROL.probes}


def test_each_questions_probes_have_types_and_fields(lab, monkeypatch):
    monkeypatch.setattr(questions, "asked", lambda words: list(questions.every()))
    answer = asking.kernel(lab, ["none_is_called_that"], 10)
    assert len(answer.questions) == len(questions.every())
    for one in answer.questions:
        for named, point in one.probes:
            match point:
                case Function(takes=takes, same=same):
                    assert (takes is not None, same) == (True, 1), named.name
                case Tracepoint(fields=fields):
                    assert fields, named.name
                case _:
                    raise AssertionError(f"{named.name} is not in this kernel")


def test_bpftool_names_the_same_arguments(lab):
    [function] = asking.kernel(lab, ["vfs_unlink"], 1).functions.shown
    with lab.open() as guest:
        guest.run(["sh", "-c", "bpftool btf dump file /sys/kernel/btf/vmlinux format raw >/tmp/raw"], timeout_s=120)
        row = guest.run(["grep", "FUNC 'vfs_unlink' ", "/tmp/raw"]).out
        number = re.search(r"type_id=(\d+)", row)[1]
        prototype = guest.run(["grep", "-A9", f"^.{number}. FUNC_PROTO", "/tmp/raw"]).out.split("\n[")[0]
    names = re.findall(r"\t'(\w+)' type_id", prototype)
    assert [re.search(r"\w+$", one)[0] for one in function.takes] == names != []


def test_bccs_own_tools_find_the_same_in_a_file(lab):
    answer = asking.file(lab, "python3", ["*"], 500)
    ask = "from bcc import BPF; print(*(one.decode() for one in BPF.get_user_functions(b'{}', b'PyGC_.*')))"
    with lab.open() as guest:
        listed = guest.run(["tplist-bpfcc", "-l", answer.file], timeout_s=120)
        functions = guest.run(["python3", "-c", ask.format(answer.file)], timeout_s=120).out.split()
    assert {point.name for point in answer.usdt.shown} == set(re.findall(r"\b\w+:\w+\b", listed.out)) != set()
    ours = {one.name for one in asking.file(lab, answer.file, ["PyGC_*"], 500).symbols.shown}
    assert ours == set(functions) != set()


def test_the_pages_transcripts_are_as_the_lab_prints_them():
    found = pages.changes(ROOT / "docs/probes.md", ROOT, Course.load(ROOT), ("run",))
    assert [str(change) for change in found] == [], "next: workbook author pages probes"
