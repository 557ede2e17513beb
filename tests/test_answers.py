"""No line of an answer shows in a later stub, a hint or the page."""

import pytest

from harness.authoring import answers
from harness.course.catalog import Course

TOML = """\
title = "x"
topic = "x"
teaches = []
needs = []
[[step]]
title = "count"
"""
SOLUTION = """\
def count(bpf, key):
    # TODO 1: count
    value = bpf["counts"][key]
    for row in table:
        total += row.value
    if value is None:
        return None
    return value.total + 1
    # end of TODO 1


def main():
    if value is None:
        print({given})
"""


@pytest.fixture
def lessons(tmp_path):
    """Lesson 91 with that hint and that page, and lesson 92 whose stub gives `given`."""

    def make(hint="", page="", given=""):
        for name in ("91-one", "92-two"):
            for folder in (tmp_path / "lessons" / name, tmp_path / "solutions" / name):
                folder.mkdir(parents=True)
            (tmp_path / "lessons" / name / "lesson.toml").write_text(TOML)
        (tmp_path / "tests/hints").mkdir(parents=True)
        (tmp_path / "tests/hints/91-one.toml").write_text(f'[[step]]\nhints = ["look around", "a map", "{hint}"]\n')
        (tmp_path / "solutions/91-one/loader.py").write_text(SOLUTION.format(given="0"))
        (tmp_path / "solutions/92-two/loader.py").write_text(f"def other():\n    {given or 'pass'}\n")
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs/91-one.md").write_text(page)
        return Course.load(tmp_path)

    return make


def test_an_answer_is_its_lines_but_for_what_is_trivial_or_given(lessons):
    assert list(answers.lines(lessons().lessons[0])) == [
        'value = bpf["counts"][key]',
        "for row in table",
        "total += row.value",
        "return value.total + 1",
    ]


def test_a_later_stub_that_holds_an_answer_is_named_by_line(lessons):
    course = lessons(given="total  +=  row.value")
    one, two = course
    found = [str(leak) for leak in answers.in_stub(two, course)]
    assert found == ["lessons/92-two/loader.py:2 holds `total += row.value`, of 91-one TODO 1"]
    assert answers.in_stub(one, course) == []


@pytest.mark.parametrize("given", ["", "return None", "if value is None:", "total += row.values"])
def test_a_later_stub_may_hold_lines_of_any_program(lessons, given):
    course = lessons(given=given)
    assert answers.in_stub(course.lessons[1], course) == []


def test_a_hint_and_a_page_that_hold_an_answer_are_named(lessons):
    one, _ = lessons(hint="write `return  value.total + 1`", page="so:\n\n    total +=\n      row.value;\n")
    assert [leak.place for leak in answers.in_words(one)] == ["hint 3 of step 1", "docs/91-one.md"]


def test_a_hint_and_a_page_may_speak_about_it(lessons):
    one, _ = lessons(hint="total grows by each row.value", page="return the value's total and one")
    assert answers.in_words(one) == []
