"""Every page shows its code, its transcripts and its lessons as they are."""

from pathlib import Path

import pytest

from harness.authoring import pages
from harness.course.catalog import Course
from harness.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
PAGES = pages.pages(ROOT)
WITH_RUNS = [page for page in PAGES if any(block.kind == "run" for block in pages.blocks(page))]
OF_A_TEST = [ROOT / "docs/probes.md"]
"""Pages whose transcripts a test in the lab compares."""
SOURCE = """\
import os

# region load
def load():
    # region inner
    return os.getppid()
    # endregion
# endregion
"""
REGION = "def load():\n    return os.getppid()"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_its_files_as_they_are(page):
    assert differences(page, ROOT, pages.FILES) == [], "next: workbook author pages"


def test_every_page_with_a_transcript_is_a_lessons():
    """Those are proven with their lesson, one by its own test; nothing would run the commands of another page."""
    proven = {lesson.page.stem for lesson in Course.load(ROOT)} | {path.stem for path in OF_A_TEST}
    assert {page.stem for page in WITH_RUNS} <= proven


@pytest.mark.parametrize("page", OF_A_TEST, ids=lambda page: page.stem)
def test_a_page_that_is_no_lessons_has_a_guest_test(page):
    test = ROOT / f"tests/test_{page.stem}_in_the_lab.py"
    assert f'pages.changes(ROOT / "docs/{page.name}", ROOT, Course.load(ROOT), ("run",))' in test.read_text()


def differences(page, root, kinds):
    """What of a page is out of date."""
    return [str(change) for change in pages.changes(page, root, Course.load(root), kinds)]


@pytest.fixture
def page(tmp_path):
    """Writes docs/page.md of a checkout that has source.py and source.c."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "source.py").write_text(SOURCE)
    (tmp_path / "source.c").write_text(SOURCE.replace("#", "//"))

    def write(text):
        path = tmp_path / "docs" / "page.md"
        path.write_text(text)
        return path

    return write


def filled(page, kinds=pages.ALL):
    """The page's text after it was brought up to date, which then has nothing left to change."""
    root = page.parent.parent
    pages.rewrite(page, list(pages.changes(page, root, [], kinds)))
    assert differences(page, root, kinds) == []
    return page.read_text()


@pytest.mark.parametrize(("name", "language"), [("source.py", "python"), ("source.c", "c")])
def test_a_region_is_filled_in_without_its_marks(page, name, language):
    text = filled(page(f"a\n<!-- code: {name}#load -->\n```\nold\n```\nb\n"))
    assert text == f"a\n<!-- code: {name}#load -->\n```{language}\n{REGION}\n```\nb\n"


def test_a_region_within_a_region_is_dedented(page):
    assert "```python\nreturn os.getppid()\n```" in filled(page("<!-- code: source.py#inner -->\n```\n```\n"))


def test_a_whole_file_is_filled_in_where_no_block_was(page):
    text = filled(page("<!-- code: source.py -->\n\nb\n"))
    assert text == f"<!-- code: source.py -->\n```python\nimport os\n\n{REGION}\n```\n\nb\n"


def test_code_that_drifted_is_found(page):
    drifted = page(f"<!-- code: source.py#load -->\n```python\n{REGION.replace('getppid', 'getpid')}\n```\n")
    assert differences(drifted, drifted.parent.parent, pages.FILES) == ["docs/page.md:1: code source.py#load"]


def test_a_missing_block_is_found(page):
    bare = page("a\n\n<!-- code: source.py -->\nb\n")
    assert differences(bare, bare.parent.parent, pages.FILES) == ["docs/page.md:3: code source.py"]


@pytest.mark.parametrize("shown", ["```\n<!-- code: nowhere.py -->\n```\n", "    <!-- code: nowhere.py -->\n"])
def test_a_directive_that_is_shown_is_none(page, shown):
    assert pages.blocks(page(shown)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- code: nowhere.py -->\n```\n```\n", "docs/page.md:1: there is no file nowhere.py"),
        ("<!-- code: ../outside.py -->\n```\n```\n", "docs/page.md:1: there is no file"),
        ("\n<!-- code: source.py#none -->\n```\n```\n", "docs/page.md:2: source.py has no region 'none'"),
        ("<!-- code: source.py -->\n```\nopen\n", "docs/page.md:2: this block is never closed"),
        ("<!-- code -->\n", "docs/page.md:1: .* is how it is written"),
        ("<!-- run: echo 'a -->\n```\n```\n", "docs/page.md:1: No closing quotation"),
        ("<!-- run: echo | varies: ( -->\n```\n```\n", "docs/page.md:1: "),
        ("<!-- run: false -->\n```\n```\n", "docs/page.md:1: exit status 1, not 0"),
        ("<!-- run: no-such-command -->\n```\n```\n", "docs/page.md:1: .*no-such-command"),
    ],
)
def test_what_cannot_be_shown_is_named_by_page_and_line(page, text, message):
    path = page(text)
    with pytest.raises(UsageError, match=message):
        differences(path, path.parent.parent, pages.ALL)


def test_a_transcript_is_filled_in_and_standard_error_is_not(page):
    text = filled(page("<!-- run: sh -c 'echo pid=$$ | cat; echo no >&2; exit 3' | exits: 3 -->\n```text\n```\n"))
    assert "no\n" not in text
    assert text.splitlines()[2].startswith("pid=")


def test_a_transcript_that_differs_as_allowed_is_kept(page):
    same = page("<!-- run: echo pid=23 lab-23 of 5 | varies: lab-[0-9]+ -->\n```text\npid=5 lab-5 of 5\n```\n")
    assert "pid=5 lab-5" in filled(same)
    other = page("<!-- run: echo pid=23 lab-23 of 5 | varies: lab-[0-9]+ -->\n```text\npid=5 lab-5 of 7\n```\n")
    assert "pid=23 lab-23" in filled(other)


def test_a_transcript_may_hold_a_fence(page):
    assert "````text\n```\n````" in filled(page("<!-- run: echo '```' -->\n```text\n```\n"))


def test_the_table_of_lessons_follows_lesson_toml(page):
    made = pages.table(Course.load(ROOT).lessons[:1])
    assert "| what it is about |" in made
    path = page("<!-- lessons: basics -->\n| old |\n\nb\n")
    pages.rewrite(path, list(pages.changes(path, path.parent.parent, Course.load(ROOT).lessons[:1], pages.ALL)))
    assert path.read_text() == f"<!-- lessons: basics -->\n{made}\n\nb\n"


def test_a_table_of_lessons_holds_its_track_alone(page):
    path = page("<!-- lessons: advanced -->\n")
    basics = [lesson for lesson in Course.load(ROOT) if lesson.track == "basics"]
    [change] = pages.changes(path, path.parent.parent, basics, pages.ALL)
    assert basics[0].name not in change.wanted


@pytest.mark.parametrize(
    ("directive", "said"),
    [
        ("<!-- lessons: advnaced -->", "page.md:1: 'advnaced' is no track (known: basics, advanced)"),
        ("<!-- lessons -->", "page.md:1: `<!-- lessons: … -->` is how it is written"),
    ],
)
def test_a_table_of_no_track_is_wrong(page, directive, said):
    path = page(f"{directive}\n")
    with pytest.raises(UsageError) as caught:
        list(pages.changes(path, path.parent.parent, [], pages.ALL))
    assert str(caught.value).endswith(said)
