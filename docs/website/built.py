"""Reads the built site: each link leads somewhere, each page is reached, nothing is loaded from another host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HOME = "index.html"
LOADED = {
    ("script", "src"), ("img", "src"), ("img", "srcset"), ("iframe", "src"), ("embed", "src"), ("object", "data"),
    ("source", "src"), ("source", "srcset"), ("video", "src"), ("audio", "src"), ("track", "src"), ("image", "href"),
    ("use", "href"), ("form", "action"), ("image", "xlink:href"), ("use", "xlink:href"), ("input", "src"),
}  # fmt: skip
"""Attributes that a browser requests without a click; of `link` all but what is only named."""
NAMED = {"canonical", "prev", "next", "search", "index", "author", "license", "me"}
CSS_LOADS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
JS_LOADS = re.compile(r"""["'`]((?:https?|wss?):?//[^"'`\s]+)["'`]""", re.IGNORECASE)
FOREIGN = re.compile(r"(?:https?:|wss?:)?//", re.IGNORECASE)
SPACES = ("http://www.w3.org/",)
"""Names of XML's namespaces look like addresses, and nothing requests them."""


@dataclass
class Page(HTMLParser):
    """A page's ids, its links, and what it loads."""

    ids: set[str] = field(default_factory=set)
    links: list[tuple[str, int]] = field(default_factory=list)
    loads: list[tuple[str, int]] = field(default_factory=list)
    css: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        self._style = tag == "style"
        if "style" in given:
            self.css.append((given["style"], line))
        if tag == "a" and "href" in given:
            self.links.append((given["href"], line))
        if tag == "link" and "href" in given:
            named = set(given.get("rel", "").split()) <= NAMED
            (self.links if named else self.loads).append((given["href"], line))
        self.loads += [(given[name], line) for name in given if (tag, name) in LOADED]

    def handle_data(self, data: str) -> None:
        if self._style:
            self.css.append((data, self.getpos()[0]))

    def handle_endtag(self, tag: str) -> None:
        self._style = False


def faults(site: Path) -> list[str]:
    """Dead links, pages that no link leads to, and requests to other hosts."""
    pages = {path.relative_to(site).as_posix(): read(path) for path in sorted(site.rglob("*.html"))}
    return [*dead(site, pages), *orphans(pages), *foreign(site, pages)]


def read(path: Path) -> Page:
    """One page."""
    page = Page()
    page.feed(path.read_text())
    return page


def target(page: str, address: str) -> tuple[str, str] | None:
    """The file of the site and the id that a link leads to; None for one that leads out of it."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    folder = Path(page).parent
    name = (folder / unquote(parts.path)).as_posix() if parts.path else page
    return name, unquote(parts.fragment)


def dead(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Links and loads within the site that lead nowhere."""
    for name, page in pages.items():
        for address, line in page.links + page.loads:
            leads = target(name, address)
            if leads is None:
                continue
            file, fragment = leads
            if not (site / file).is_file():
                yield f"built {name}:{line}: dead link {address}"
            elif fragment and file in pages and fragment not in pages[file].ids:
                yield f"built {name}:{line}: dead link {address}: there is no such id"


def orphans(pages: dict[str, Page]) -> Iterator[str]:
    """Pages that cannot be reached by links from the first one."""
    seen, open_ = {HOME}, [HOME]
    while open_:
        name = open_.pop()
        leads = {found[0] for address, _ in pages[name].links if (found := target(name, address))} & set(pages)
        open_ += sorted(leads - seen)
        seen |= leads
    for name in sorted(set(pages) - seen):
        yield f"built {name}: orphan page: no link from {HOME} leads to it"


def foreign(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """What a browser would request from another host."""
    for name, page in pages.items():
        for address, line in page.loads:
            if FOREIGN.match(address.strip()):
                yield f"built {name}:{line}: loaded from another host: {address}"
        for css, line in page.css:
            yield from (f"built {name}:{line}: loaded from another host: {found}" for found in CSS_LOADS.findall(css))
    for path in sorted(site.rglob("*")):
        pattern = {".css": CSS_LOADS, ".js": JS_LOADS, ".svg": CSS_LOADS}.get(path.suffix)
        for found in pattern.findall(path.read_text()) if pattern else []:
            if not found.startswith(SPACES):
                yield f"built {path.relative_to(site)}: loaded from another host: {found}"
