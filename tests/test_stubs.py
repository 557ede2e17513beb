"""Regions are cut out in both languages, and marks that do not pair up are named by line."""

from pathlib import Path

import pytest

from harness.course.stubs import stub_of
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


def test_a_c_region_keeps_its_comment_and_returns_where_it_returned():
    wanted = "int probe(void *ctx)\n{\n    // TODO 2: count\n    // TODO 3: say so\n    return 0;\n}\n"
    assert stub_of(C, Path("x.c")) == wanted


def test_one_hole_alone_can_be_opened():
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
