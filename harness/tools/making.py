"""Writes an empty tool of one's own from templates: a loader, a program, a first test that says what to do."""

from __future__ import annotations

from pathlib import Path

import jinja2

from harness.course.catalog import Course
from harness.errors import UsageError
from harness.tools import tool
from harness.tools.tool import Tool

TEMPLATES = Path(__file__).with_name("templates")
FILES = {"loader.py": "loader.tmpl", "{stem}.bpf.c": "program.tmpl", "test_{stem}.py": "test.tmpl"}
"""A file of the tool → its template."""


def make(course: Course, name: str) -> Tool:
    """The new tool. UsageError where the name is none, is a lesson's, or something has it: nothing is written then."""
    made = tool.named(course.root, name)
    for lesson in course:
        if name in (lesson.slug, lesson.name, lesson.topic):
            raise UsageError(f"{name!r} is lesson {lesson.number}", remedy="choose another name")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    texts = {
        file.format(stem=made.stem): environment.from_string((TEMPLATES / template).read_text()).render(
            name=name, stem=made.stem
        )
        for file, template in FILES.items()
    }
    if made.folder().parent.is_symlink():
        raise UsageError(f"{made.folder().parent} is a link: a tool would be written elsewhere")
    try:
        made.folder().parent.mkdir(exist_ok=True)
        made.folder().mkdir()
    except FileExistsError as error:
        raise UsageError(
            f"{error.filename} is there already; nothing was written", remedy="choose another name"
        ) from error
    except OSError as error:
        raise UsageError(f"{made.folder()} cannot be made: {error.strerror}") from error
    for file, text in texts.items():
        with (made.folder() / file).open("x") as opened:
            opened.write(text)
    return made
