"""Where a TODO's code lies in the learner's files, and the programs that run it."""

import pytest
from test_commands import ROOT

from harness.course import catalog, regions, stubs
from harness.course.catalog import Course

C = """\
static void count(void)
{
    // TODO 1: count
    counts.increment(1);
    // end of TODO 1
}

int on_open(struct pt_regs *ctx)
{
    count();
    return 0;
}

TRACEPOINT_PROBE(sched, sched_switch)
{
    // TODO 2: end
    if (args->prev_pid)
        return 0;
    return 0;
    // end of TODO 2
}
"""
PYTHON = """\
def act(bpf):
    # TODO 3: attach it
    bpf.attach_kprobe(event="x", fn_name="on_open")
    # end of TODO 3
"""


@pytest.fixture
def lesson(course):
    """A lesson with holes in both files."""
    (course.root / "solutions/90-small/loader.py").write_text(PYTHON)
    (course.root / "solutions/90-small/small.bpf.c").write_text(C)
    found = catalog.load(course.root / "lessons/90-small")
    for name, text in stubs.stubs(found).items():
        course.write(name, text)
    return found


def found(lesson, **changed):
    """The regions, where some files of the learner's were changed by a function of their text."""
    folder = lesson.folder()
    files = {folder / name: (folder / name).read_text() for name in lesson.edited}
    for name, change in changed.items():
        files[folder / name] = change(files[folder / name])
    return regions.regions_in(lesson, {path: text.encode() for path, text in files.items()}, folder)


def test_a_stub_has_a_region_for_each_todo(lesson):
    assert {number: one.line for number, one in found(lesson).items()} == {1: 3, 2: 15, 3: 2}


def test_a_region_knows_the_programs_that_run_it(lesson):
    programs = {number: set(one.programs) for number, one in found(lesson).items()}
    assert programs == {1: {"on_open"}, 2: {"tracepoint__sched__sched_switch"}, 3: {"on_open"}}


def test_what_was_typed_for_a_todo_is_its_region(lesson):
    def fill(text):
        head, tail = text.split("    // TODO 2: end\n    return 0;\n")
        return f"#include <x.h>\n{head}    // what I think\n    u32 a = 1;\n    u32 b = 2;\n    return a;\n{tail}"

    two = found(lesson, **{"small.bpf.c": fill})[2]
    assert (two.first, two.line, two.last) == (15, 16, 18)


def test_a_line_is_found_in_its_region(lesson):
    seen = found(lesson)
    path = lesson.folder() / "small.bpf.c"
    assert regions.at(seen, path, 3).number == 1
    assert regions.at(seen, path, 7) is None


def test_each_step_of_the_course_has_its_region_in_the_stub():
    for lesson in Course.load(ROOT):
        assert sorted(found(lesson)) == [step.number for step in lesson.steps], lesson.name
