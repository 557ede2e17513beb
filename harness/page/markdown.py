"""A page of docs/ as HTML, from the parser that the site's MyST is built on, coloured by Pygments as there."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from harness.page import blocks

LIGHT, DARK = "default", "github-dark"
PAGE = re.compile(r"([A-Za-z0-9-]+)\.md")
PICTURE = re.compile(r"screens/([A-Za-z0-9-]+\.(?:svg|png))")


def render(text: str, described: Sequence[str] = ()) -> str:
    """The HTML of a page; `described` are the descriptions of its diagrams. HTML in it is shown as text."""
    parser = MarkdownIt("commonmark").enable("table")
    page = _Page(list(described))
    parser.renderer.rules |= {  # type: ignore[attr-defined] # of RendererHTML, which is the default
        "fence": page.fence, "html_block": page.comment, "html_inline": page.comment, "heading_open": page.heading,
        "link_open": page.link, "link_close": page.link_end, "image": page.image,
        "table_open": page.table, "table_close": page.table_end,
    }  # fmt: skip
    return str(parser.render(text))


def colours() -> str:
    """The style sheet of the colours in code."""
    light = HtmlFormatter(style=LIGHT).get_style_defs(".code")
    dark = HtmlFormatter(style=DARK).get_style_defs(".code")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def coloured(text: str, language: str) -> str:
    """Code as HTML; as it is where the language is unknown."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return html.escape(text)
    return str(highlight(text, lexer, HtmlFormatter(nowrap=True)))


@dataclass
class _Page:
    """What is known between one token and the next."""

    described: list[str]
    caption: str = ""

    def comment(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        content = tokens[index].content
        if not content.strip().startswith("<!--"):
            return html.escape(content)
        self.caption = blocks.caption(content) or ""
        return ""

    def fence(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        token, caption = tokens[index], self.caption
        self.caption = ""
        code = f"<code>{coloured(token.content, token.info.strip())}</code>"
        if not caption and blocks.is_diagram(token.content) and self.described:
            label = html.escape(self.described.pop(0))
            begin = f'<div class="diagram" role="img" tabindex="0" aria-label="{label}">'
            return f'{begin}<pre class="code">{code}</pre></div>\n'
        body = f'<pre class="code" tabindex="0">{code}</pre>'
        if caption:
            return (
                f'<figure class="block"><figcaption><code>{html.escape(caption)}</code></figcaption>{body}</figure>\n'
            )
        return f"{body}\n"

    def heading(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        return f'<{tokens[index].tag} id="{html.escape(blocks.anchor(tokens[index + 1].content))}">'

    def link(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        address = str(tokens[index].attrGet("href"))
        parts = urlsplit(address)
        if parts.scheme in ("http", "https"):
            return f'<a href="{html.escape(address)}" rel="noreferrer" target="_blank">'
        if not parts.path:
            return f'<a href="#{html.escape(parts.fragment)}">'
        if page := PAGE.fullmatch(parts.path):
            fragment = f"#{parts.fragment}" if parts.fragment else ""
            return f'<a href="/docs/{page[1]}{html.escape(fragment)}">'
        return "<a>"  # it leads to a file that is not served

    def link_end(self, *_: Any) -> str:
        return "</a>"

    def table(self, *_: Any) -> str:
        return '<div class="wide" role="group" aria-label="table" tabindex="0"><table>'

    def table_end(self, *_: Any) -> str:
        return "</table></div>"

    def image(self, tokens: Sequence[Token], index: int, *_: Any) -> str:
        token = tokens[index]
        picture = PICTURE.fullmatch(str(token.attrGet("src")))
        words = html.escape(token.content)
        return f'<img src="/screens/{picture[1]}" alt="{words}">' if picture else words


def title(text: str) -> str:
    """The page's first heading."""
    return next((line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")), "")


def page(root: Path, name: str) -> str:
    """The HTML of docs/NAME.md."""
    return render((root / "docs" / f"{name}.md").read_text(), blocks.descriptions(root).get(name, ()))
