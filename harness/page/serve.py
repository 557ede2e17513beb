"""Serves the page of one engine on a loopback port until Ctrl-C, a fault of the engine's, or `stop`."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from harness.course.catalog import Course, Lesson
from harness.errors import SetupError
from harness.lab.guest import Lab
from harness.learner.asks import QUIT
from harness.learner.engine import Engine, Quit
from harness.learner.inbox import Inbox
from harness.page import fragments
from harness.page.app import Pages
from harness.page.board import Board
from harness.page.owner import KEY, Guard

LOOPBACK = "127.0.0.1"
SHUTDOWN_S = 1


class Server:
    """The engine in a thread, the page in this one."""

    def __init__(self, lab: Lab, course: Course, first: Lesson | None, port: int) -> None:
        """Bind `port`, or any other where it is taken (0: the system chooses); SetupError where there is none."""
        self._first = first or next(iter(course), None)
        self._board, self._inbox = Board(self._first), Inbox()
        self._socket = _bound(port)
        number = self._socket.getsockname()[1]
        key = secrets.token_urlsafe(32)
        self.address = f"http://{LOOPBACK}:{number}/?{KEY}={key}"
        """It holds the key."""
        self._engine = Engine(lab, course, self._inbox, self._board.tell, moves_on=False)
        app = Guard(
            Pages(course, self._board, self._inbox).app(), key, number, lambda: fragments.render("closed.html.j2")
        )
        self._server = _Uvicorn(
            self._board,
            uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, date_header=False, lifespan="off",
                ws="none", timeout_graceful_shutdown=SHUTDOWN_S,
            ),
        )  # fmt: skip
        self._fault: BaseException | None = None

    def run(self, ready: Callable[[str], None]) -> None:
        """Serve until it is stopped; `ready` hears the address. What ended the engine is raised here."""
        engine = threading.Thread(target=self._work, name="engine")
        engine.start()
        try:
            ready(self.address)
            with self._socket:
                self._server.run(sockets=[self._socket])
        finally:
            with self._inbox:
                self._board.close()
                self._inbox.ask(QUIT)
                engine.join()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._board.close()
        self._server.should_exit = True

    def _work(self) -> None:
        try:
            with contextlib.suppress(Quit):
                self._engine.run(self._first)
        except BaseException as error:
            self._fault = error
        self.stop()


class _Uvicorn(uvicorn.Server):
    """Ends the streams of events before it waits for answers that are under way."""

    def __init__(self, board: Board, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._board = board

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._board.close()
        super().handle_exit(sig, frame)


def _bound(port: int) -> socket.socket:
    """A socket on `port` of the loopback address, or on another where that is taken."""
    for one in (port, 0):
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((LOOPBACK, one))
            made.listen()  # from here on a browser waits, and is not refused
        except OSError:
            made.close()
        else:
            return made
    raise SetupError("no port of this machine can be used", remedy="workbook watch")
