"""A page with a scripted lab behind it, and Debian's Chromium before it."""

import contextlib
import shutil
import socket
import threading
from pathlib import Path

from labs import ROOT, passed, said

from harness.course.catalog import Course
from harness.lab.channel import Channel
from harness.lab.guest import Deadlines, Guest
from harness.page.serve import Server
from harness.protocol.frames import Decoder, Kind, decode_file, encode
from harness.protocol.messages import Collected, Compiling, Exited, Fetch, Fetched, Run, Signal, Spawn, read_request

CHROMIUM = shutil.which("chromium")
LESSON = "01-hello-kprobe"


class ScriptedLab:
    """Guests that answer a run as `decide` says, from the files that they were sent, and a command as `spawned` says.

    `decide(run, files)` gives the messages of a run; `spawned` the bytes that a command prints before it waits for its
    signal. While `gate` is closed, a run stops after it has begun to compile.
    """

    def __init__(self, decide, spawned=b""):
        self.deadlines = Deadlines(0.1, given_s=60)
        self.lacking, self.on = {}, ""
        self._decide, self._spawned = decide, spawned
        self.gate = threading.Event()
        self.gate.set()
        self.runs = 0

    @contextlib.contextmanager
    def open(self):
        ours, theirs = socket.socketpair()
        speaker = threading.Thread(target=self._serve, args=(theirs,), daemon=True)
        speaker.start()
        channel = Channel(ours)
        try:
            yield Guest(channel)
        finally:
            channel.close()
            with contextlib.suppress(OSError):
                theirs.shutdown(socket.SHUT_RDWR)
            theirs.close()

    def _serve(self, end):
        decoder, files = Decoder(), {}
        with contextlib.suppress(OSError):
            while data := end.recv(1 << 16):
                for frame in decoder.feed(data):
                    if frame.kind is Kind.FILE:
                        name, content = decode_file(frame.payload)
                        files[name] = content
                    elif frame.kind is Kind.MESSAGE:
                        self._answer(end, read_request(frame.payload), files)

    def _answer(self, end, request, files):
        match request:
            case Run():
                self.runs += 1
                begin, *rest = self._decide(request, files)
                end.sendall(said(begin))
                if not self.gate.is_set():
                    started = next(one for one in rest if type(one).__name__ == "Started")
                    end.sendall(said(started, Compiling()))
                    rest.remove(started)
                    self.gate.wait(60)
                end.sendall(said(*rest))
            case Spawn():
                end.sendall(encode(Kind.STDOUT, self._spawned))
            case Signal():
                end.sendall(encode(Kind.STDOUT, b"bye\n") + said(Exited(status=0)))
            case Fetch():
                end.sendall(said(Fetched(left_out=0)))

    def prepare(self):
        """Nothing."""

    def begin(self, files, run):
        """Nothing."""

    def close(self):
        """Nothing."""


def fails(nodeid, facts):
    """All that an honest guest says of a test that fails with these facts."""
    return passed(nodeid, "failed", text=facts.message, facts=facts)


def answers(run, failing):
    """The messages of a run in which the tests of `failing` (name → facts) fail, and all others pass."""
    events = [Collected(tests=run.wanted)]
    for nodeid in run.wanted:
        facts = failing.get(nodeid.split("::")[1])
        events += fails(nodeid, facts) if facts else passed(nodeid)
    return [*events, Exited(status=0)]


def checkout(folder):
    """The course's files, without what someone has learned there."""
    for name in ("lessons", "solutions", "docs", "tests/hints", "tests/mutants"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".workbook"))
    return folder


@contextlib.contextmanager
def served(lab, root, lesson="01", port=0):
    """The address of the page of a checkout."""
    course = Course.load(Path(root))
    server = Server(lab, course, course.pick(lesson), port)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda _: ready.set(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


@contextlib.contextmanager
def chromium():
    """Debian's browser, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "next: sh harness/setup.sh --browser"
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox; what is shown here is this repository's.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
