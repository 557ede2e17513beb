"""Regions are cut out in both languages, and marks that do not pair up are named by line."""

from pathlib import Path

import pytest

from harness.course import catalog
from harness.course.stubs import holes_in, stub_of, stubs
from harness.errors import UsageError

PYTHON = """\
def twice(n: int) -> int:
    # TODO 1: return "two" times n
    doubled = n * 2
    return doubled
    # end of TODO 1
"""
C = """\
int probe(void *ctx)
{
    // TODO 2: count
    counter++;
    // end of TODO 2
    // TODO 3: say so
    return say();
    // end of TODO 3
}
"""


def test_a_python_region_becomes_a_not_implemented_error():
    wanted = 'def twice(n: int) -> int:\n    raise NotImplementedError("TODO 1: return \\"two\\" times n")\n'
    assert stub_of(PYTHON, Path("x.py")) == wanted


def test_a_c_region_keeps_its_comment_and_its_return():
    wanted = "int probe(void *ctx)\n{\n    // TODO 2: count\n    // TODO 3: say so\n    return 0;\n}\n"
    assert stub_of(C, Path("x.c")) == wanted


def test_a_single_todo_can_be_opened():
    assert "counter++" in stub_of(C, Path("x.c"), only=3)
    assert "say()" not in stub_of(C, Path("x.c"), only=3)


@pytest.mark.parametrize(
    ("text", "line"),
    [("# TODO 1: a\n# TODO 2: b\n", 2), ("# end of TODO 1\n", 1), ("# TODO 1: a\n# end of TODO 2\n", 2)],
)
def test_marks_that_do_not_pair_up_are_named(text, line):
    with pytest.raises(UsageError, match=f"x.py:{line}"):
        stub_of(text, Path("x.py"))


def test_a_region_without_an_end_is_named():
    with pytest.raises(UsageError, match="TODO 1 has no end"):
        stub_of("# TODO 1: a\n", Path("x.py"))


@pytest.fixture
def lesson(course):
    """A lesson with both languages; its learner has written nothing yet."""
    for name, text in (("loader.py", PYTHON), ("small.bpf.c", C)):
        (course.root / "solutions/90-small" / name).write_text(text)
    return catalog.load(course.root / "lessons/90-small")


def places(holes):
    return {number: (hole.path.name, hole.line) for number, hole in holes.items()}


def test_holes_are_found_in_bytes_and_not_on_the_disk(lesson):
    code = lesson.folder()
    written = {code / name: text.encode() for name, text in stubs(lesson).items()}
    (code / "loader.py").write_text("raise NotImplementedError\n")
    whole = {1: ("loader.py", 2), 2: ("small.bpf.c", 3), 3: ("small.bpf.c", 4)}
    assert places(holes_in(lesson, written, code)) == whole
    moved = {code / "loader.py": b"import os\n\n" + written[code / "loader.py"]}
    assert places(holes_in(lesson, written | moved, code)) == whole | {1: ("loader.py", 4)}
    assert places(holes_in(lesson, moved, code)) == {1: ("loader.py", 4)}
    assert places(holes_in(lesson, {code / "loader.py": b"\xff\n"}, code)) == {}


def test_a_todo_with_another_next_line_is_not_untouched(lesson):
    code = lesson.folder()
    begun = C.replace("    // end of TODO 2\n", "").replace("    // end of TODO 3\n", "").encode()
    assert places(holes_in(lesson, {code / "small.bpf.c": begun}, code)) == {}
