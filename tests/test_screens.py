"""The pictures in docs/screens say what the commands say, load nothing, and are shown somewhere."""

import re
from pathlib import Path

import pytest
from rich.text import Text

from harness.authoring import screens
from harness.course.catalog import FOLDER, Course

ROOT = Path(__file__).resolve().parent.parent
PICTURES = [act for act in screens.DAY if act.picture]
FILES = sorted((ROOT / screens.FOLDER).iterdir())
SIZE_MAX = 256 << 10
PAGE = {f"page-{state}-{size}" for state in ("red", "explained", "green", "overview") for size in ("desk", "phone")}
"""Taken by tests/test_page_in_the_lab.py."""


def test_a_picture_says_what_was_printed():
    printed = "\x1b[1mLesson\x1b[0m  01 · a & <b>\n\n  \x1b[32m✔ done\x1b[0m    5/5\n\x1b[31m  ✘ red\x1b[0m\n"
    picture = screens.svg(Text.from_ansi(printed), "workbook verify", "x")
    assert screens.text_of(picture) == "Lesson  01 · a & <b>\n\n  ✔ done    5/5\n  ✘ red"


def test_a_picture_of_a_screen_loads_nothing():
    picture = screens.svg(Text("x"), "workbook", "x")
    assert "font-face" not in picture
    assert re.findall(r"url\((?!#)", picture) == []
    assert "href" not in picture


def test_screens_that_differ_in_dates_are_the_same():
    assert screens.same("checked 2026-01-01 10:00:00\nseed 5", "checked 2027-12-31 23:59:59\n\nseed 77123")
    assert not screens.same("done 5/5 tests", "done 4/5 tests")


def test_of_a_long_output_the_head_is_shown_and_the_rest_counted():
    act = screens.Act("printf a\\nb\\nc\\nd", picture="x", lines=2)
    (shot,) = screens.shots(ROOT, lambda _: None, [act])
    assert shot.text == "a\nb\n… 2 lines more"


def test_each_picture_is_there_small_and_shown():
    assert {path.stem for path in FILES} == {act.picture for act in PICTURES} | PAGE
    pages = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for path in FILES:
        assert path.stat().st_size <= SIZE_MAX, path
        assert f"screens/{path.name})" in pages, f"{path} is shown nowhere"


def test_the_progress_table_has_every_lesson():
    said = screens.text_of((ROOT / screens.FOLDER / "progress.svg").read_text())
    names = [name for line in said.splitlines() if FOLDER.fullmatch(name := line.split()[0])]
    assert names == [lesson.name for lesson in Course.load(ROOT)]


@pytest.mark.guest
@pytest.mark.parametrize("name", ["verify", "explain"])
def test_a_screen_is_as_in_the_picture(name):
    (act,) = [act for act in PICTURES if act.picture == name]
    (shot,) = screens.shots(ROOT, lambda _: None, [act])
    assert screens.same(screens.text_of((ROOT / shot.path).read_text()), shot.text), "next: workbook author screens"
