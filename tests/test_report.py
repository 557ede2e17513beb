"""The page that `workbook report` writes: right, whole, and safe whatever its files contain."""

import base64
import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import ADVANCED

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
[[step]]
title = "second"
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


def test_what_files_contain_is_shown_as_text(course, lesson):
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
    assert seen.text.count(EVIL) == 6  # title, step, name taught, notes, function and its profile's title


def test_the_sums_are_right(course, lesson):
    progress.note_check(lesson, "todo", 1, "2026-01-01T10:00:00")
    progress.note_hint(lesson, 2, 2)
    seen = page(lesson)
    text = " ".join(seen.text.split())
    assert "0 / 1 lessons done 1 / 2 steps done 2 hints used 0 BCC names learned" in text
    assert "begun 2026-01-01" in text
    classes = [attributes["class"] for tag, attributes in seen.elements if tag == "li"]
    assert classes == ["done", "todo"]


def test_each_track_has_its_heading_and_its_sum(course, lesson):
    folder = course.root / "lessons/91-hard"
    folder.mkdir()
    (folder / "lesson.toml").write_text(ADVANCED + (course.root / "lessons/90-small/lesson.toml").read_text())
    progress.note_check(lesson, "done", 2, "2026-01-01T10:00:00")
    whole = catalog.Course.load(course.root)
    text = " ".join(Page(htmlreport.page(whole.lessons, "2026-01-02")).text.split())
    assert "1 / 2 lessons done 2 / 4 steps done" in text
    assert "The basics 1 / 1 lessons done" in text
    assert "The advanced track 0 / 1 lessons done" in text


def test_a_lesson_done_once_stays_done_and_shows_its_verdict(lesson):
    progress.note_check(lesson, "done", 2, "2026-01-01T10:00:00")
    progress.note_check(lesson, "red", 1, "2026-01-03T10:00:00")
    seen = page(lesson)
    assert ("article", {"class": "done"}) in seen.elements
    assert "done 2026-01-01 10:00" in seen.text
    assert "Done once; at the last check, 2026-01-03 10:00: a test is red." in seen.text


def test_a_begun_lesson_shows_its_first_and_last_check(lesson):
    progress.note_check(lesson, "todo", 0, "2026-01-01T10:00:00")
    assert "begun 2026-01-01 10:00\n" in page(lesson).text
    progress.note_check(lesson, "red", 1, "2026-01-01T11:59:58")
    assert "begun 2026-01-01 10:00, checked 2026-01-01 11:59" in page(lesson).text


def test_a_lesson_that_took_days_shows_begin_and_end(lesson):
    progress.note_check(lesson, "todo", 0, "2026-01-01T10:00:00")
    progress.note_check(lesson, "done", 2, "2026-01-03T10:00:00")
    progress.note_check(lesson, "done", 2, "2026-01-05T10:00:00")
    assert "2026-01-01 10:00 to 2026-01-03 10:00" in page(lesson).text


def test_hints_looked_at_after_the_lesson_are_not_used(course, lesson):
    progress.note_hint(lesson, 1, 1)
    progress.note_check(lesson, "done", 2, "2026-01-01T10:00:00")
    progress.note_hint(lesson, 1, 3)
    progress.note_hint(lesson, 2, 1)
    assert "1 hint used" in " ".join(page(lesson).text.split())
    assert progress.standing(lesson).hints == {1: 3, 2: 1}, "the next hint is still the next"
    listed = workbook(course.root, "progress", "--json")
    assert json.loads(listed.stdout)[0]["hints_used"] == {"1": 1}
    progress.note_check(lesson, "done", 2, "2026-01-02T10:00:00")
    assert progress.standing(lesson).hints_used == {1: 1}


def links(lesson, folder):
    text = htmlreport.page([lesson], "2026-01-02", folder)
    return [attributes["href"] for tag, attributes in Page(text).elements if tag == "a"]


def test_a_report_in_the_checkout_links_to_the_lessons_page(course, lesson, tmp_path):
    lesson.page.parent.mkdir(exist_ok=True)
    lesson.page.write_text("# Small\n")
    (link,) = links(lesson, course.root / "out" / "mine")
    assert (course.root / "out" / "mine" / link).resolve() == lesson.page.resolve()
    assert links(lesson, Path("/elsewhere")) == [], "who gets it has no such page"
    lesson.page.unlink()
    assert links(lesson, course.root) == []


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
        "not shown: a.folded is neither folded stacks nor a sampled speedscope profile: "
        "line 1 does not end with a blank and a number",
        "not shown: b.png is larger than 2 MiB",
        "… 3 lines more",
    ]


def shown(lesson):
    """File or title → exhibit."""
    return {exhibit.title: exhibit for exhibit in htmlreport.exhibits(artefacts.home(lesson))}


def of_names(*names, weight=1, samples=None):
    """A speedscope file of one stack."""
    frames = [{"name": name} for name in names]
    profile = {"type": "sampled", "unit": "none", "samples": samples or [list(range(len(names)))], "weights": [weight]}
    return json.dumps({"shared": {"frames": frames}, "profiles": [profile]})


HOSTILE = {
    "names that are numbers": of_names(1, 2),
    "names that are lists": of_names([], {}),
    "a weight without end": of_names("a", weight=0).replace("[0]", "[1e999]"),
    "a weight that is no number": of_names("a", weight=0).replace("[0]", "[NaN]"),
    "a weight below zero": of_names("a", weight=-1),
    "a weight of text": of_names("a", weight="1"),
    "a weight of 4,000 digits": "a " + "9" * 4000,
    "a weight of 5,000 digits": "a " + "9" * 5000,
    "a superscript for a number": "a ²",
    "a frame below zero": of_names("a", samples=[[-1]]),
    "a frame beyond the last": of_names("a", samples=[[1]]),
    "a frame that is a name": of_names("a", samples=["a"]),
    "100,000 brackets": '{"shared":' + "[" * 100_000,
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_profile_is_passed_over_by_name(lesson, kind):
    made(lesson, "evil.folded", HOSTILE[kind])
    made(lesson, "notes.txt", "mine")
    assert shown(lesson)["evil.folded"].text.startswith("not shown: evil.folded ")
    assert shown(lesson)["notes.txt"].text == "mine"


HARD = {
    "3,000 frames": ";".join(f"f{number}" for number in range(3000)) + " 1",
    "a frame of 5 MB": "a;" + "x" * 5_000_000 + " 1",
    "a sample without frames": of_names(samples=[[]]),
    "half a surrogate pair": of_names("\ud800"),
    "the smallest weight": of_names("a", weight=5e-324),
    "the largest weight": of_names("a", weight=1e18),
    "100,000 names": "\n".join(f"main;f{number}_{'x' * 30} 1" for number in range(100_000)),
    "1,000,000 frames": ("a;" * 250 + "b 1\n") * 4000,
    "wide and deep": "\n".join(";".join(f"f{number}" for _ in range(300)) + " 1" for number in range(3900)),
}


@pytest.mark.parametrize("kind", HARD)
def test_a_hard_profile_is_drawn_small(lesson, kind):
    made(lesson, "hard.folded", HARD[kind])
    [exhibit] = shown(lesson).values()
    assert exhibit.picture.address.startswith("data:image/svg+xml;base64,"), exhibit.text
    picture = base64.b64decode(exhibit.picture.address.partition(",")[2])
    assert len(picture) < htmlreport.PICTURE_MAX
    boxes = [box for box in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}rect") if box.get("x")]
    assert all(0 <= float(box.get(name)) <= 10_000 for box in boxes for name in ("x", "y", "width"))
    assert len(boxes) >= 1
    assert len(htmlreport.page([lesson], "2026-01-02")) < 2 * htmlreport.PICTURE_MAX


@pytest.mark.parametrize("name", ["evil.svg", "evil.html", "evil.xhtml"])
def test_active_content_is_named_and_not_shown(lesson, name):
    made(lesson, name, "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    assert shown(lesson)[name] == htmlreport.Exhibit(
        name, text=f"not shown: a file of the kind .{name.split('.')[1]} could run scripts"
    )
    assert "alert" not in htmlreport.page([lesson], "2026-01-02")


def test_a_page_has_a_largest_size(lesson, monkeypatch):
    monkeypatch.setattr(htmlreport, "PAGE_MAX", 5000)
    for number in range(3):
        made(lesson, f"{number}.png", bytes(3000))
    made(lesson, "3.txt", "x" * 100_000)
    text = htmlreport.page([lesson], "2026-01-02")
    assert text.count("data:image/png") == 1
    assert text.count("not shown: the page is large enough") == 2
    assert f"{'x' * htmlreport.COLUMNS_MAX}…" in text


def test_a_lesson_shows_a_limited_number_of_files(lesson):
    for number in range(htmlreport.FILES_MAX + 3):
        made(lesson, f"{number:03}.txt", "x")
    assert shown(lesson)["More files"].text == "3 more files are not shown"


def test_a_fault_of_one_file_leaves_the_others(lesson, monkeypatch):
    def fail(path):
        raise MemoryError

    monkeypatch.setattr(htmlreport, "_flame_graph", fail)
    made(lesson, "a.folded", "a 1")
    made(lesson, "b.txt", "mine")
    assert [exhibit.text for exhibit in shown(lesson).values()] == ["not shown: MemoryError", "mine"]


def test_words_that_utf_8_cannot_hold_do_not_end_the_page(course, lesson):
    made(lesson, os.fsdecode(b"\xff.txt"), "mine")
    entry = {"was_done": True, "done_at": "\ud800"}
    (progress.folder(course.root) / "progress.json").write_text(json.dumps({"lessons": {"small": entry}}))
    assert "mine" in htmlreport.page([lesson], "2026-01-02").encode().decode()


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
