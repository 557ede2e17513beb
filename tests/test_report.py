"""The page that `workbook report` writes: right, whole, and safe whatever stands in the files it is made of."""

import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.course import catalog
from harness.learner import artefacts, htmlreport, progress

WORKBOOK = str(Path(sys.executable).with_name("workbook"))
EVIL = "<script>alert('x')</script>\" onerror=\"y & z"
TOML = """\
title = '''{evil}'''
topic = "small"
teaches = ['''{evil}''']
needs = []
[[step]]
title = '''{evil}'''
hints = ["a", "b", "c"]
[[step]]
title = "second"
hints = ["a", "b", "c"]
"""


class Page(html.parser.HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def lesson(course):
    return catalog.load(course.root / "lessons/90-small")


def made(lesson, name, content):
    """Something that the lesson made."""
    path = artefacts.home(lesson) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def page(lesson):
    return Page(htmlreport.page([lesson], "2026-01-02"))


def test_nothing_is_loaded_from_anywhere_and_nothing_runs(lesson):
    made(lesson, "profile.folded", "a;b 3\n")
    made(lesson, "photo.png", b"\x89PNG")
    progress.note_check(lesson, "done", 2, "2026-01-01T00:00:00")
    text = htmlreport.page([lesson], "2026-01-02")
    elements = Page(text).elements
    addresses = [a[name] for _, a in elements for name in ("src", "href", "srcset", "data", "action") if name in a]
    assert len(addresses) == 2
    assert all(address.startswith("data:image/") for address in addresses)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in elements}
    assert "@import" not in text
    assert "url(" not in text
    policy = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_what_stands_in_files_is_text_and_nothing_else(course, lesson):
    made(lesson, "notes.txt", EVIL)
    made(lesson, "<b>.log", "x")
    made(lesson, "profile.folded", f"{EVIL} 3\n")
    before = [tag for tag, _ in page(lesson).elements]
    course.write("lesson.toml", TOML.format(evil=EVIL))
    entry = dict.fromkeys(("verdict", "when", "begun", "done_at"), EVIL) | {"was_done": True, "steps_done": 1}
    (progress.folder(course.root) / "progress.json").write_text(json.dumps({"lessons": {"small": entry}}))
    seen = page(catalog.load(course.root / "lessons/90-small"))
    assert "script" not in before
    assert "script" not in [tag for tag, _ in seen.elements]
    assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
    assert seen.text.count(EVIL) == 5  # title, step, name taught, notes, function


def test_the_sums_are_right(course, lesson):
    progress.note_check(lesson, "todo", 1, "2026-01-01T10:00:00")
    progress.note_hint(lesson, 2, 2)
    seen = page(lesson)
    text = " ".join(seen.text.split())
    assert "0 / 1 lessons done 1 / 2 steps done 2 hints used 0 BCC names learned" in text
    assert "begun 2026-01-01" in text
    classes = [attributes["class"] for tag, attributes in seen.elements if tag == "li"]
    assert classes == ["done", "todo"]


def test_a_lesson_that_was_done_stays_done_and_says_what_it_is_now(lesson):
    progress.note_check(lesson, "done", 2, "2026-01-01T10:00:00")
    progress.note_check(lesson, "red", 1, "2026-01-03T10:00:00")
    seen = page(lesson)
    assert ("article", {"class": "done"}) in seen.elements
    assert "done 2026-01-01" in seen.text
    assert "Done once; at the last check, 2026-01-03: a test is red." in seen.text


def test_dates_of_a_lesson_that_took_days(lesson):
    progress.note_check(lesson, "todo", 0, "2026-01-01T10:00:00")
    progress.note_check(lesson, "done", 2, "2026-01-03T10:00:00")
    progress.note_check(lesson, "done", 2, "2026-01-05T10:00:00")
    assert "2026-01-01 to 2026-01-03" in page(lesson).text


def test_a_flame_graph_is_drawn_with_what_took_most(lesson):
    made(lesson, "profile.folded", "a;b 3\na;c 1\n")
    made(lesson, "profile.svg", "<svg/>")
    (exhibit,) = htmlreport.exhibits(artefacts.home(lesson))
    assert exhibit.shares == [("b", "75.0"), ("c", "25.0")]


def test_what_cannot_be_shown_is_named(lesson, tmp_path):
    made(lesson, "a.folded", "no number\n")
    made(lesson, "b.png", b"x" * (htmlreport.PICTURE_MAX + 1))
    made(lesson, "c.txt", "line\n" * (htmlreport.LINES_MAX + 3))
    made(lesson, "d.txt.1", "an older one")
    (artefacts.home(lesson) / "e.txt").symlink_to("/etc/passwd")
    shown = [exhibit.text.splitlines()[-1] for exhibit in htmlreport.exhibits(artefacts.home(lesson))]
    assert shown == [
        "a.folded cannot be drawn: line 1 does not end with a blank and a number",
        "larger than 2 MiB, not shown",
        "… 3 lines more",
    ]


def workbook(root, *arguments):
    return subprocess.run(
        [WORKBOOK, *arguments], cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        env=os.environ,
    )  # fmt: skip


def test_the_command_writes_one_file_and_names_it(course):
    seen = workbook(course.root, "report", "-o", "out/mine.html")
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, "out/mine.html\n", "")
    assert (course.root / "out/mine.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.guest
def test_what_a_lesson_made_in_the_lab_is_in_the_report(course, lesson):
    (course.root / "solutions/90-small/loader.py").write_text("")
    course.write(
        "loader.py",
        "import os, pathlib\n"
        "folder = pathlib.Path(os.environ['WORKBOOK_ARTEFACTS'])\n"
        "folder.mkdir(exist_ok=True)\n"
        "(folder / 'profile.folded').write_text('main;work 23\\n')\n",
    )
    seen = workbook(course.root, "run", "90")
    assert seen.returncode == 0, seen.stderr
    assert ".workbook/artefacts/small/profile.folded" in seen.stderr
    assert "100.0 %" in page(lesson).text
