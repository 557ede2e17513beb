"""The sources that Sphinx reads: the pages as they are, line by line, with the pages that are made from the course."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.course.catalog import Course, by_track
from website import diagrams, examples, names

GUIDES = ("page", "probes", "today", "explain", "silent", "kernels", "troubleshooting")
WORKBOOK = ("architecture", "authoring", "security", "changelog")
FENCE = re.compile(r"(`{3,}|~{3,})")
HEADING = re.compile(r"(#+) (.*)")


def stage(root: Path, to: Path) -> list[str]:
    """Write the sources to `to`; the faults that a page or a table has, each with its place."""
    course = Course.load(root)
    pages = {page.stem: page.read_text() for page in sorted((root / "docs").glob("*.md"))}
    pages["changelog"] = (root / "CHANGELOG.md").read_text().replace("](docs/", "](")
    to.mkdir(parents=True)
    shutil.copytree(root / "docs/screens", to / "screens")
    known = names.Known.load(course)
    faults = [fault for name, text in pages.items() for fault in known.faults(f"docs/{name}.md", prose(text))]
    faults += known.misspelt(course)
    faults += diagrams.faults(root, pages)
    faults += examples.faults(pages["explain"])
    pages["names"] = names.page(course, known, pages)
    pages["index"] += contents(course)
    for name, text in pages.items():
        (to / f"{name}.md").write_text(one_title(text))
    return faults


def contents(course: Course) -> str:
    """The order of all pages: lessons first; previous and next follow it."""
    parts: dict[str, Sequence[str]] = {
        **{title: [lesson.name for lesson in lessons] for title, lessons in by_track(course)},
        "Look up": ["names", *GUIDES],
        "The workbook itself": WORKBOOK,
    }
    lines = []
    for caption, entries in parts.items():
        lines += ["", "```{toctree}", ":hidden:", ":titlesonly:", f":caption: {caption}", "", *entries, "```"]
    return "\n".join(lines) + "\n"


def prose(text: str) -> list[str]:
    """The page's lines, those inside of fenced blocks empty."""
    return [line if outside else "" for line, outside in _lines(text)]


def one_title(text: str) -> str:
    """The page with a single title: where it has more, all headings after the first go down by one level."""
    lines = list(_lines(text))
    titles = [index for index, (line, outside) in enumerate(lines) if outside and line.startswith("# ")]
    if len(titles) < 2:
        return text
    down = [
        f"#{line}" if outside and index > titles[0] and HEADING.match(line) else line
        for index, (line, outside) in enumerate(lines)
    ]
    return "\n".join(down) + "\n"


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is outside of fenced blocks."""
    fence = ""
    for line in text.splitlines():
        opens = FENCE.match(line)
        if fence:
            yield line, False
            fence = "" if line.startswith(fence) and not line.strip(fence[0] + " ") else fence
        else:
            yield line, not opens
            fence = opens[1] if opens else ""
