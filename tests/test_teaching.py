"""Names of BCC are found in both languages, and each must have been taught by then."""

from dataclasses import replace

import pytest

from harness.authoring import teaching
from harness.course.catalog import Course

TOML = 'title = "x"\ntopic = "x"\nteaches = {teaches}\nneeds = []\n[[step]]\ntitle = "x"\n'
LOADER = """\
from bcc import BPF
bpf = BPF(src_file="x.bpf.c")
bpf.attach_kprobe(event=b"f", fn_name=b"g")
"""
PROGRAM = """\
#include <uapi/linux/bpf_perf_event.h>
#define bpf_mine 1
// bpf_in_a_comment
BPF_HASH(counts, u32, u64);
int f(struct bpf_perf_event_data *ctx)
{
    u32 key = PT_REGS_PARM1(ctx) + bpf_mine;
    u64 *value = counts.lookup_or_try_init(&key, &zero);
    if (value)
        lock_xadd(value, 1);
    bpf_trace_printk("bpf_in_a_text.x()");
    return 0;
}
TRACEPOINT_PROBE(raw_syscalls, sys_enter)
"""


@pytest.fixture
def lessons(tmp_path):
    """Lessons 91 and 92 with this solution; 91 teaches `first`, 92 teaches `second`."""

    def make(first, second):
        for name, teaches in (("91-one", first), ("92-two", second)):
            for folder in (tmp_path / "lessons" / name, tmp_path / "solutions" / name):
                folder.mkdir(parents=True)
            (tmp_path / "lessons" / name / "lesson.toml").write_text(TOML.format(teaches=teaches))
            (tmp_path / "solutions" / name / "loader.py").write_text(LOADER)
        return Course.load(tmp_path)

    return make


def test_a_programs_names_are_found_by_line():
    assert list(teaching.in_c(PROGRAM)) == [
        ("BPF_HASH", 4),
        ("PT_REGS_PARM1", 7),
        ("Table.lookup_or_try_init", 8),
        ("lock_xadd", 10),
        ("bpf_trace_printk", 11),
        ("TRACEPOINT_PROBE", 14),
    ]


def test_a_loaders_names_are_found_by_line():
    assert list(teaching.in_python(LOADER)) == [("BPF", 1), ("BPF.attach_kprobe", 3)]


@pytest.mark.parametrize(
    "text",
    [
        "counts.items(); counts.values(); file.close()",
        "import os\nos.walk('/')",
        "class Row:\n    sym: str\n\nprint(row.sym)",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bcc import Table",
    ],
)
def test_what_may_be_anybodys_is_passed_over(text):
    assert list(teaching.in_python(text)) == []


def test_a_name_is_taught_by_its_lesson_or_an_earlier_one(lessons):
    course = lessons(["BPF.attach_kprobe"], [])
    assert [teaching.untaught(lesson, course) for lesson in course] == [[], []]


def test_a_name_that_a_later_lesson_teaches_is_found_by_line(lessons):
    course = lessons([], ["BPF.attach_kprobe"])
    found = teaching.untaught(course.lessons[0], course)
    assert [(use.name, use.path.name, use.line) for use in found] == [
        ("BPF", "loader.py", 1),
        ("BPF.attach_kprobe", "loader.py", 3),
    ]


def test_a_name_that_is_taught_and_never_used_is_found(lessons):
    one, _ = lessons(["BPF.attach_kprobe", "BPF.cleanup"], [])
    assert teaching.unused(one) == ["BPF.cleanup"]
    one.page.parent.mkdir()
    one.page.write_text("`bpf.cleanup()` takes all off\n")
    assert teaching.unused(one) == []
    assert teaching.unused(replace(one, teaches=("bpf_cleanup",))) == ["bpf_cleanup"]
