"""The page's addresses: what each answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.course.catalog import Course, Lesson
from harness.learner import artefacts, htmlreport
from harness.learner.asks import Ask, What
from harness.learner.inbox import Inbox
from harness.page import fragments, markdown
from harness.page.board import REGIONS, Board, Region, Shown

STATIC = Path(__file__).parent / "static"
KINDS = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}
PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}
NAME = re.compile(r"[A-Za-z0-9-]+")
ASKS: tuple[tuple[What, str, str], ...] = (
    ("check", "Enter", "Check again"),
    ("hint", "h", "Hint"),
    ("run", "r", "Run"),
    ("stop", "s", "Stop"),
    ("judge", "j", "Judge my test"),
    ("compare", "c", "Compare"),
    ("diff", "d", "Diff"),
    ("all", "a", "All lessons"),
    ("next", "n", "Next lesson"),
    ("reset", "R", "Reset"),
    ("undo", "U", "Undo"),
)
"""What, its key, its words."""
ALIVE_S = 15
"""A comment is sent after so long without news, so that a lost connection is noticed."""
RETRY_MS = 500
Had = tuple[int, int]
"""What a tab has of the output: of which run, and how many characters."""


class Pages:
    """Answers requests, from the board's state."""

    def __init__(self, course: Course, board: Board, inbox: Inbox) -> None:
        self._course, self._board, self._inbox = course, board, inbox

    def app(self) -> Starlette:
        """All of it, unguarded."""
        return Starlette(
            routes=[
                Route("/", self.lesson),
                Route("/course", self.overview),
                Route("/docs/{name}", self.page),
                Route("/screens/{name}", self.screen),
                Route("/made/{lesson}/{number:int}", self.made),
                Route("/static/{name}", self.static),
                Route("/events", self.events),
                Route("/ask/{what}", self.ask, methods=["POST"]),
            ]
        )

    def lesson(self, request: Request) -> Response:
        """The lesson that is watched, with all regions as they are now."""
        shown = self._board.shown
        if shown.lesson is None:
            raise HTTPException(503)
        regions = {name: fragments.region(name, shown) for name in REGIONS if name != "output"}
        page = self._page(shown.lesson.name)
        return _html(
            fragments.render("lesson.html.j2", at="lesson", lesson=shown.lesson, page=page, asks=ASKS, **regions)
        )

    def overview(self, request: Request) -> Response:
        return _html(fragments.course(self._course.lessons))

    def page(self, request: Request) -> Response:
        """A page of docs/; that of another lesson leads to working on it."""
        name = request.path_params["name"]
        other = next((one for one in self._course if one.name == name and one != self._board.shown.lesson), None)
        page = self._page(name)
        title = markdown.title((self._course.root / "docs" / f"{name}.md").read_text())
        return _html(fragments.render("docs.html.j2", at="docs", page=page, title=title, other=other))

    def _page(self, name: str) -> str:
        if not NAME.fullmatch(name) or not (self._course.root / "docs" / f"{name}.md").is_file():
            raise HTTPException(404)
        return markdown.page(self._course.root, name)

    def screen(self, request: Request) -> Response:
        """A picture of docs/screens, as an image."""
        path = Path(request.path_params["name"])
        file = self._course.root / "docs/screens" / path.name
        if path.suffix not in PICTURES or not file.is_file():
            raise HTTPException(404)
        return Response(file.read_bytes(), media_type=PICTURES[path.suffix])

    def made(self, request: Request) -> Response:
        """A picture that a lesson's program made, as an image."""
        lesson = self._lesson(request.path_params["lesson"])
        made = list(htmlreport.exhibits(artefacts.home(lesson)))
        number = request.path_params["number"]
        picture = made[number].picture if number < len(made) else None
        if picture is None:
            raise HTTPException(404)
        return Response(picture.content, media_type=picture.kind)

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name == "code.css":
            return Response(markdown.colours(), media_type="text/css")
        if name not in KINDS:
            raise HTTPException(404)
        return FileResponse(STATIC / name, media_type=KINDS[name])

    async def ask(self, request: Request) -> Response:
        """Put what was asked into the engine's inbox; what came of it is an event."""
        what, name = request.path_params["what"], request.query_params.get("lesson", "")
        if what not in get_args(What) or what in ("save", "quit"):
            raise HTTPException(404)
        if name:
            self._lesson(name)
        self._inbox.ask(Ask(what, name))
        if request.headers.get("sec-fetch-mode") == "navigate":  # a form, where no script runs
            return RedirectResponse("/", 303)
        return Response(status_code=204)

    def _lesson(self, name: str) -> Lesson:
        for lesson in self._course:
            if lesson.name == name:
                return lesson
        raise HTTPException(404)

    async def events(self, request: Request) -> Response:
        """All regions as they are, then each change, as server-sent events."""
        return StreamingResponse(self._changes(), media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[str]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(news.set)

        self._board.wake(wake)
        try:
            yield f"retry: {RETRY_MS}\n\n"
            seen: dict[Region, int] = {}
            had: Had | None = None
            while not self._board.closed:
                news.clear()
                shown = self._board.shown
                if shown.lesson is not None:
                    yield _event("lesson", shown.lesson.name)
                for name in REGIONS:
                    if shown.changed[name] == seen.get(name):
                        continue
                    if name == "output":
                        message, had = _output(shown, had)
                        yield _event(name, json.dumps(message))
                    else:
                        yield _event(name, await asyncio.to_thread(fragments.region, name, shown))
                seen = dict(shown.changed)
                yield ": alive\n\n"
                try:
                    await asyncio.wait_for(news.wait(), ALIVE_S)
                except TimeoutError:
                    continue
        finally:
            self._board.forget(wake)


def _output(shown: Shown, had: Had | None) -> tuple[dict[str, object], Had]:
    """What of the output a tab lacks, and what it has then; None for a tab that has nothing."""
    again = had is None or had[0] != shown.run or had[1] < shown.dropped
    new = shown.output if had is None or again else shown.output[had[1] - shown.dropped :]
    ended = "" if shown.ended is None else f"exit status {shown.ended.status}"
    brought = ", ".join(shown.ended.brought) if shown.ended else ""
    words = "; ".join(filter(None, [ended, brought and f"brought back: {brought} (see the course's page)"]))
    running = shown.work is not None and shown.work.kind == "running"
    message: dict[str, object] = {"again": again, "text": new, "end": "running" if running else words}
    return message, (shown.run, shown.dropped + len(shown.output))


def _event(kind: str, data: str) -> str:
    """One server-sent event; a carriage return would end a line too (HTML standard, section 9.2)."""
    lines = data.replace("\r", "").split("\n")
    return f"event: {kind}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


def _html(text: str) -> Response:
    return HTMLResponse(text)
