"""What travels into the guest: ordinary files of the lesson's own, bounded; what a folder holds beside them stays."""

import os

import pytest
from labs import small

from harness.errors import UsageError
from harness.run import payload
from harness.run.request import of_lesson

SPEC = "def test_one(loader): pass\n"


@pytest.fixture
def lesson(course):
    course.write("test_small.py", SPEC)
    course.write("loader.py", "")
    (course.root / "solutions/90-small/loader.py").write_text("")
    return small(course)


def names(lesson, tree="lessons"):
    asked = of_lesson(lesson, tree, tests=(lesson.tests,))
    return sorted(str(path.relative_to(lesson.root)) for path in asked.files)


def test_sources_travel_and_nothing_else(course, lesson):
    for name in (
        "conftest.py",
        "test_other.py",
        "other_test.py",
        "pytest.ini",
        "notes.txt",
        "helper.py",
        "race.c",
        "my.h",
    ):
        course.write(name, "x")
    (lesson.folder() / "__pycache__").mkdir()
    (lesson.folder() / "__pycache__/helper.py").write_text("x")
    begin = "lessons/90-small"
    assert names(lesson) == [f"{begin}/{one}" for one in ("helper.py", "loader.py", "my.h", "race.c", "test_small.py")]


def test_the_learners_own_test_travels_with_the_specification(course, lesson):
    """`verify` runs the specification first, and judges those bytes after it."""
    course.write("test_mine.py", "def test_mine(): pass\n")
    (course.root / "solutions/90-small/test_mine.py").write_text("def test_mine(): pass\n")
    assert "lessons/90-small/test_mine.py" in names(lesson)
    assert "solutions/90-small/test_mine.py" in names(lesson, "solutions")


def test_the_references_files_travel_with_the_lessons_tests(lesson):
    assert names(lesson, "solutions") == [
        "lessons/90-small/loader.py", "lessons/90-small/test_small.py", "solutions/90-small/loader.py",
    ]  # fmt: skip


def make(kind, path):
    path.unlink(missing_ok=True)
    {
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("/dev/zero"),
        "dead link": lambda: path.symlink_to("/nowhere"),
        "folder": path.mkdir,
    }[kind]()


@pytest.mark.parametrize("kind", ["fifo", "link", "dead link", "folder"])
def test_an_odd_file_of_the_learners_is_named(lesson, kind):
    make(kind, lesson.folder() / "loader.py")
    with pytest.raises(UsageError, match=r"loader\.py is a"):
        of_lesson(lesson, "lessons", tests=(lesson.tests,))


@pytest.mark.parametrize("kind", ["fifo", "link", "dead link", "folder"])
def test_an_odd_file_beside_them_stays(lesson, kind):
    make(kind, lesson.folder() / "helper.py")
    assert "lessons/90-small/helper.py" not in names(lesson)
    assert lesson.folder() / "helper.py" not in payload.of_folder(lesson.folder())


def test_a_link_to_a_folder_is_not_followed(lesson):
    (lesson.folder() / "usr").symlink_to("/usr/include")
    assert len(payload.of_folder(lesson.folder())) == 3


def test_too_much_in_all_is_refused(course, lesson):
    for number in range(5):
        course.write(f"large{number}.py", bytes(4 << 20))
    with pytest.raises(UsageError, match=r"more than 16 MiB .* large"):
        of_lesson(lesson, "lessons", tests=(lesson.tests,))


def test_a_huge_file_stays(course, lesson):
    course.write("huge.py", bytes((8 << 20) + 1))
    assert "lessons/90-small/huge.py" not in names(lesson)


def test_a_named_file_must_be_there(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        payload.of_paths([tmp_path / "none"])
