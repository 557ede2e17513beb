"""What a page has beyond Markdown: captions, described diagrams, examples, the picture of the rooms, linked names."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from harness.course.catalog import Course
from harness.page import blocks
from website import examples, names, rooms

WIDE = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" role="group" aria-label="table" class="table-wrapper',
    '<figure class="rooms">': '<figure class="rooms" tabindex="0">',
}
"""What a phone scrolls sideways, by how Sphinx and the theme begin it."""
log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is done to each page."""
    app.add_config_value("workbook_root", "", "env")
    app.connect("doctree-read", change)
    app.connect("doctree-resolved", link_names)
    app.connect("html-page-context", reachable, priority=900)  # after the theme's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def change(app: Sphinx, page: nodes.document) -> None:
    """Change a page that was read, before links are resolved."""
    name, root = app.env.docname, Path(app.config.workbook_root)
    caption(page)
    describe(page, blocks.descriptions(root).get(name, []))
    if name == "explain":
        show_examples(page, examples.examples(root))
    if name == "architecture":
        show_rooms(page, root / "harness")


def reachable(app: Sphinx, name: str, template: str, context: dict[str, Any], page: nodes.document | None) -> None:
    """Let a keyboard scroll what is wider than its place, and give the menu's headings the level that ARIA asks for."""
    for part, wide in (("body", WIDE), ("furo_navigation_tree", {'role="heading"': 'role="heading" aria-level="2"'})):
        for before, after in wide.items():
            if part in context:
                context[part] = context[part].replace(before, after)


def caption(page: nodes.document) -> None:
    """Say above each block which file it shows, or which command printed it."""
    for raw in list(page.findall(nodes.raw)):
        words = blocks.caption(raw.astext())
        if words is None:
            continue
        block = raw.next_node(descend=False, siblings=True)
        raw.parent.remove(raw)
        if isinstance(block, nodes.literal_block):
            put_caption(page, block, words)


def put_caption(page: nodes.document, block: nodes.literal_block, words: str) -> None:
    """Wrap a block with its caption, as Sphinx's own code-block does; Sphinx needs an id for each."""
    number = sum(1 for _ in page.findall(nodes.caption)) + 1
    wrapper = nodes.container("", literal_block=True, classes=["literal-block-wrapper"], ids=[f"block-{number}"])
    block.replace_self(wrapper)
    wrapper += nodes.caption("", "", nodes.literal("", words))
    wrapper += block


def describe(page: nodes.document, descriptions: list[str]) -> None:
    """Give each diagram its description as its text for screen readers."""
    drawn = [
        block
        for block in page.findall(nodes.literal_block)
        if not isinstance(block.parent, nodes.container) and blocks.is_diagram(block.astext())
    ]
    for block, words in zip(drawn, descriptions, strict=False):
        label = html.escape(words)
        figure = nodes.container("", classes=["diagram"])
        block.replace_self(figure)
        figure += nodes.raw("", f'<div role="img" aria-label="{label}">', format="html")
        figure += block
        figure += nodes.raw("", "</div>", format="html")


def show_examples(page: nodes.document, found: dict[str, examples.Example]) -> None:
    """Show each class of faults by its example."""
    for section in page.findall(nodes.section):
        name = section[0].astext()
        if name not in found or name not in examples.classes():
            continue
        example = found[name]
        block = nodes.literal_block(example.text, example.text, language=example.language)
        block["linenos"] = bool(example.first)
        if example.first:
            block["highlight_args"] = {
                "linenostart": example.first,
                "hl_lines": [example.blamed] * bool(example.blamed),
            }
        section += block
        put_caption(page, block, example.title)


def show_rooms(page: nodes.document, harness: Path) -> None:
    """Draw the rooms under their heading, and say each arrow in words."""
    for section in page.findall(nodes.section):
        if section[0].astext() == "Rooms":
            graph = rooms.graph(harness)
            section.insert(1, nodes.raw("", rooms.svg(graph) + rooms.words(graph), format="html"))
            return
    log.warning("architecture has no section Rooms to draw the picture in", location=page)


def link_names(app: Sphinx, page: nodes.document, name: str) -> None:
    """Link the first mention of each taught name to the index, except where it is taught; in the lessons' table all."""
    if name == "names":
        return
    known = names.Known.load(Course.load(Path(app.config.workbook_root)))
    seen = {one for one, lessons in known.taught.items() if name in [lesson.page.stem for lesson in lessons]}
    index = app.builder.get_relative_uri(name, "names")
    for literal in list(page.findall(nodes.literal)):
        about = names.spelling(literal.astext(), known)
        if about is None or about in seen or isinstance(literal.parent, nodes.reference | nodes.title | nodes.caption):
            continue
        if name != "index":
            seen.add(about)
        link = nodes.reference("", "", refuri=f"{index}#{names.anchor(about)}", internal=True)
        literal.replace_self(link)
        link += literal
