"""A lesson's own files are understood, or named in one sentence: a checkout may be somebody else's."""

import os

import pytest
from conftest import ADVANCED, HINTS
from test_commands import ROOT

from harness.course import catalog, mutants, stubs
from harness.course.catalog import Course
from harness.errors import UsageError
from harness.learner import hints

TOML = """\
title = "Small"
topic = "small"
teaches = []
needs = []
[[step]]
title = "act"
"""
LOADER = "def act() -> int:\n    # TODO 1: act\n    return 23\n    # end of TODO 1\n"
MUTANT = """\
[[mutant]]
name = "off"
file = "loader.py"
find = "23"
replace = "22"
misconception = "takes 22 for it"
killed_by = "test_act"
"""


pytestmark = pytest.mark.timeout(20)  # a read that blocks ends as a failure


@pytest.fixture
def folder(tmp_path):
    """The folder of a lesson with a solution and a mutant, next to a secret."""
    for name, text in {
        "lessons/91-small/lesson.toml": TOML,
        "tests/hints/91-small.toml": HINTS,
        "solutions/91-small/loader.py": LOADER,
        "tests/mutants/91-small.toml": MUTANT,
        "secret": "23",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "lessons/91-small"


def zero(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def empty_folder(path):
    path.unlink()
    path.mkdir()


def everything(folder):
    """All that is read of a lesson."""
    lesson = catalog.load(folder)
    stubs.stubs(lesson)
    return [mutants.apply(mutant, lesson) for mutant in mutants.load(lesson)]


@pytest.mark.parametrize("make", [zero, fifo, empty_folder])
@pytest.mark.parametrize("name", ["lessons/91-small/lesson.toml", "tests/hints/91-small.toml",
                                  "solutions/91-small/loader.py", "tests/mutants/91-small.toml"])  # fmt: skip
def test_an_odd_file_of_a_lesson_is_named(folder, name, make):
    path = folder.parent.parent / name
    make(path)
    with pytest.raises(UsageError, match=f"{path} is a"):
        everything(folder)


@pytest.mark.parametrize("make", [zero, fifo, empty_folder])
def test_an_odd_file_of_the_learner_is_named(folder, make):
    (folder / "loader.py").write_text("")
    make(folder / "loader.py")
    with pytest.raises(UsageError, match=r"loader\.py is a"):
        hints.open_step(catalog.load(folder))


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('title = "Small"\n', "", "'title' is missing"),
        ('title = "Small"', "title = 23", "'title' is not a string"),
        ('title = "Small"', r'title = "\u001b[31m"', "'title' holds a character that cannot be shown: '\\x1b[31m'"),
        ('topic = "small"', r'topic = "\u202e"', "'topic' holds"),
        ('topic = "small"', r'topic = "\u009b1m"', "'topic' holds"),
        ('title = "act"', r'title = "a\nb"', "step 1: 'title' holds"),
        ("teaches = []", 'teaches = "BPF"', "'teaches' is not a list of strings"),
        ("needs = []", "needs = [[]]", "'needs' is not a list of strings"),
        ("needs = []", "needs = []\ndemo = [1]", "'demo' is not a list of strings"),
        ("needs = []", 'needs = []\ntrack = "advnaced"', "'track' is 'advnaced', expected one of basics, advanced"),
        ("needs = []", "needs = []\ntrack = 2", "'track' is not a string"),
        ("needs = []", "needs = []\nafter = 8", "'after' is not a string"),
        ("needs = []", "needs = []\nextra = 1", "unknown key 'extra' (known: after, demo"),
        ('title = "act"', 'title = "act"\nextra = 1', "step 1: unknown key 'extra' (known: title"),
        ("[[step]]", "[step]", "'step' is not a list of tables"),
        ("needs = []", "needs = []\nstep = [1]", "Cannot"),
        (TOML[TOML.index("[[step]]") :], "step = []", "there is no step"),
        (TOML[TOML.index("[[step]]") :], "step = [1]", "'step' is not a list of tables"),
        (TOML, "[" * 100_000, ""),
        (TOML, "a = " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_lesson_that_is_wrong_is_one_sentence(folder, was, now, said):
    path = folder / "lesson.toml"
    path.write_text(TOML.replace(was, now, 1))
    with pytest.raises(UsageError) as caught:
        catalog.load(folder)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'step' is missing"),
        ('[[step]]\nhints = ["\\u0007"]\n', "step 1: 'hints' holds"),
        ("[[step]]\nhints = [2]\n", "step 1: 'hints' is not a list of strings"),
        (HINTS + "mutant = []\n", "step 1: 'mutant' is not a string"),
        (HINTS + "extra = 1\n", "step 1: unknown key 'extra' (known: hints, mutant)"),
        (2 * HINTS, "2 steps, expected 1 as in"),
    ],
)
def test_hints_that_are_wrong_are_one_sentence(folder, text, said):
    path = catalog.hints_of(folder)
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        catalog.load(folder)
    assert str(caught.value).startswith(f"{path}:")
    assert said in str(caught.value)


def test_a_lesson_without_hints_has_none(folder):
    catalog.hints_of(folder).unlink()
    assert [step.hints for step in catalog.load(folder).steps] == [()]


def test_no_lessons_folder_gives_its_hints_away():
    for lesson in Course.load(ROOT):
        texts = [path.read_text() for path in lesson.folder().iterdir() if path.is_file()]
        told = [hint for step in lesson.steps for hint in (*step.hints, step.mutant or "")]
        assert [one for one in told if one and any(one in text for text in texts)] == [], lesson.name


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('"loader.py"', '"../../secret"', "'../../secret' is not one of the solution's files (loader.py)"),
        ('"loader.py"', '"/etc/hostname"', "is not one of"),
        ('"loader.py"', '"./loader.py"', "is not one of"),
        ('"loader.py"', "1", "mutant 1: 'file' is not a string"),
        ('find = "23"', "find = 23", "mutant 1: 'find' is not a string"),
        ('find = "23"\n', "", "mutant 1: 'find' is missing"),
        ("[[mutant]]", "[mutant]", "'mutant' is not a list of tables"),
        ("[[mutant]]", "extra = 1\n[[mutant]]", "unknown key 'extra'"),
        ("[[mutant]]", "[[mutant]]\nextra = 1", "mutant 1: unknown key 'extra'"),
        ("[[mutant]]", "[[mutant]]\nedit = [1]", "mutant 1: 'edit' is not a list of tables"),
        (
            "[[mutant]]",
            '[[mutant]]\nedit = [{file = "../../secret", find = "", replace = ""}]',
            "mutant 1: edit 1: '..",
        ),
        ('"takes', r'"\u001b', "mutant 1: 'misconception' holds"),
        (MUTANT, "", "'mutant' is missing"),
    ],
)
def test_a_mutant_that_is_wrong_is_one_sentence(folder, was, now, said):
    path = folder.parent.parent / "tests/mutants/91-small.toml"
    path.write_text(MUTANT.replace(was, now, 1))
    with pytest.raises(UsageError) as caught:
        everything(folder)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_a_mutant_changes_its_file(folder):
    lesson = catalog.load(folder)
    [mutant] = mutants.load(lesson)
    changed = mutants.apply(mutant, lesson)
    assert changed == {lesson.folder("solutions") / "loader.py": LOADER.replace("23", "22").encode()}


@pytest.fixture
def course(folder):
    """Three lessons."""
    for name in ("90-first", "92-last"):
        other = folder.parent / name
        other.mkdir()
        (other / "lesson.toml").write_text(TOML.replace("small", name[3:]))
    return Course.load(folder.parent.parent)


def test_a_course_knows_neighbours(course):
    first, small, last = course
    assert [course.index(lesson) for lesson in course] == [0, 1, 2]
    assert [course.before(lesson) for lesson in course] == [None, first, small]
    assert [course.after(lesson) for lesson in course] == [small, last, None]
    assert course.earlier(last) == (first, small)


def test_a_lesson_is_of_the_basics_unless_it_says_so(course):
    path = course.lessons[-1].folder() / "lesson.toml"
    path.write_text(ADVANCED + path.read_text())
    first, small, last = Course.load(course.root)
    assert catalog.by_track([first, small, last]) == [("The basics", [first, small]), ("The advanced track", [last])]
    assert catalog.by_track([first, small]) == [("The basics", [first, small])]


def test_a_course_knows_what_a_lesson_comes_after(course):
    path = course.lessons[-1].folder() / "lesson.toml"
    path.write_text(ADVANCED + path.read_text())
    first, small, last = found = Course.load(course.root)
    assert [found.required(lesson) for lesson in (first, small, last)] == [None, None, first]


@pytest.mark.parametrize("number", ["92", "93", "first"])
def test_a_lesson_comes_after_one_before_it(course, number):
    path = course.lessons[-1].folder() / "lesson.toml"
    path.write_text(ADVANCED.replace("90", number) + path.read_text())
    with pytest.raises(UsageError) as caught:
        Course.load(course.root)
    assert str(caught.value).startswith(f"{path}: 'after' is '{number}'")


def test_a_course_picks_by_number_slug_folder_and_topic(course):
    assert {course.pick(wanted).number for wanted in ("91", "small", "91-small", "91-SMA")} == {"91"}
    with pytest.raises(UsageError, match="'9' names more than one lesson: 90-first, 91-small, 92-last"):
        course.pick("9")
    with pytest.raises(UsageError, match="'none' names no lesson"):
        course.pick("none")


def test_a_lesson_of_another_course_is_not_found(course, tmp_path):
    with pytest.raises(UsageError, match="90-first is not a lesson of this course"):
        Course(tmp_path, course.lessons[1:]).after(course.lessons[0])


def test_a_lesson_with_a_dead_link_is_not_passed_over(folder):
    (folder / "lesson.toml").unlink()
    (folder / "lesson.toml").symlink_to("/nowhere")
    with pytest.raises(UsageError, match="is a link"):
        Course.load(folder.parent.parent)
