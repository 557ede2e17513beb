"""docs/ as the page shows it: the same words as the site, and HTML in a page stays text."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.course.catalog import Course
from harness.page import blocks, markdown

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))


class Seen(HTMLParser):
    """What a page holds: its words, links, pictures, ids, and descriptions for screen readers."""

    def __init__(self, text):
        super().__init__()
        self.words, self.links, self.pictures, self.ids, self.labels, self.tags = "", [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.labels += [given["aria-label"]] if given.get("role") == "img" else []
        self.links += [given["href"]] if "href" in given else []
        self.pictures += [given["src"]] if "src" in given else []

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("name", PAGES)
def test_each_link_and_picture_of_a_page_is_served(name):
    seen = Seen(markdown.page(ROOT, name))
    for link in seen.links:
        if link.startswith(("https://", "http://")):
            continue
        page, _, anchor = link.partition("#")
        there = Seen(markdown.page(ROOT, page.removeprefix("/docs/"))) if page else seen
        assert not anchor or anchor in there.ids, link
    for picture in seen.pictures:
        assert (ROOT / "docs" / picture.lstrip("/")).is_file()


@pytest.mark.parametrize("lesson", [lesson.name for lesson in Course.load(ROOT)])
def test_each_diagram_has_its_description(lesson):
    assert Seen(markdown.page(ROOT, lesson)).labels == blocks.descriptions(ROOT).get(lesson, [])


def test_a_block_says_which_file_it_shows():
    seen = Seen(markdown.page(ROOT, "01-hello-kprobe"))
    assert "docs/examples/01-hello-kprobe/exits.bpf.c// Runs each time" in seen.words.replace("\n", "")
    assert "$ workbook lab exec --with docs/examples/01-hello-kprobe" in seen.words
    assert "<!--" not in markdown.page(ROOT, "01-hello-kprobe")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>\n", "a <img src=x onerror=alert(1)> b\n", "[x](javascript:alert(1))\n",
        "![x](https://example.org/x.png)\n", '```"><script>\nx\n```\n', '# <b onload="x">\n',
    ],
)  # fmt: skip
def test_html_in_a_page_stays_text(text):
    seen = Seen(markdown.render(text))
    assert {"script", "img", "b"}.isdisjoint(seen.tags)
    assert [link for link in seen.links if not link.startswith("#")] == []
