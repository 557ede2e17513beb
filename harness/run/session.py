"""One pytest run over one lesson in the lab, as a stream of events; a guest that dies costs one test.

What the guest says is held against what was asked: it may run those tests, each once, in their order, with one report
for each phase. Anything else is a lost guest.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from harness.course.specification import CASES_MAX
from harness.errors import GuestLost
from harness.lab.channel import Output, Received
from harness.lab.guest import Deadlines, Guest, Lab
from harness.protocol import open_step as opened
from harness.protocol.messages import (
    Collected,
    Collecting,
    Compiling,
    Exited,
    Finished,
    Interrupted,
    Precompiled,
    Reported,
    Signal,
    Started,
    Uncollectable,
    Warned,
)  # fmt: skip
from harness.protocol.names import function_of, signal_name
from harness.run import needs
from harness.run.request import Request, is_mine

STOP_GRACE_S = 30


@dataclass(frozen=True)
class Died:
    """The test process, or the whole guest, ended in the middle of a test."""

    nodeid: str
    reason: str
    lab: bool
    """True when the guest is lost; False when it was only the test's own process."""
    console: str = ""


Event = Collected | Started | Compiling | Output | Reported | Uncollectable | Finished | Warned | Died


@dataclass
class Progress:
    """How far one guest came, and what it may say next."""

    request: Request
    collecting: str = ""
    """The test file that is being read."""
    files_read: list[str] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    left: list[str] | None = None
    """Node ids not finished yet, in order; None before the collection is complete."""
    running: str | None = None
    phases: list[Reported] = field(default_factory=list)
    """Of the test that runs."""
    finished: int = 0
    interrupted: str = ""
    """What ended pytest's session early, such as KeyboardInterrupt."""
    open_step: int | None = None

    @property
    def complete(self) -> bool:
        return self.left == []

    def failed(self, nodeid: str) -> None:
        """Note the step of a failing test of the specification."""
        if not is_mine(nodeid):
            self.open_step = opened.first_open([self.request.step_of(nodeid)], self.open_step)


def run(lab: Lab, request: Request) -> Generator[Event, None, None]:
    """Events of the run, each test's in order. LabError when no guest can be had at all, or when it speaks nonsense."""
    if why := needs.lacking(lab, request.lesson):
        yield from _skipped(request, why)
        return
    while request.tests:  # one without functions too: only the guest can say why it cannot be read
        progress = Progress(request, open_step=request.open_step)
        try:
            with lab.open() as guest:
                yield from _run_in(guest, lab.deadlines, progress)
        except GuestLost as lost:
            if progress.running is None:
                raise
            reason = f"the lab's kernel crashed while running {progress.running} ({lost})"
            yield from _death(progress, Died(progress.running, reason, lab=True, console=lost.console))
        if progress.complete:
            return
        if progress.left is None:
            request = request.without(request.root / progress.collecting)
        elif progress.finished:
            request = request.going_on(tuple(progress.left), progress.open_step)
        else:
            raise GuestLost("pytest exited in the lab before it ran a test")


def _skipped(request: Request, why: str) -> Iterator[Event]:
    """What a run of pytest that skips every test would say."""
    tests = tuple(request.wanted or request.functions)
    yield Collected(tests=tests)
    for nodeid in tests:
        yield Started(nodeid=nodeid)
        yield Reported(nodeid=nodeid, when="setup", outcome="skipped", duration=0, text=f"Skipped: {why}")
        yield Reported(nodeid=nodeid, when="teardown", outcome="passed", duration=0)
        yield Finished(nodeid=nodeid)


def _run_in(guest: Guest, deadlines: Deadlines, progress: Progress) -> Iterator[Event]:
    guest.put(progress.request.files)
    guest.start(progress.request.message(deadlines))
    silence, whole = (guest.channel.deadline(one) for one in (deadlines.silence_s, deadlines.run_s(CASES_MAX)))
    stopped = ""
    while True:
        for message in guest.channel.messages(silence):
            if isinstance(message, Exited):
                yield from _ending(message, progress, stopped)
                return
            if isinstance(message, Collected):
                whole.move(deadlines.run_s(len(message.tests)))
            yield from _taken(message, progress)
            if progress.finished and progress.complete:
                return  # how pytest ends after its last test says nothing more
            if whole.left() == 0:
                raise GuestLost("the run exceeded the time limit of all its tests together")
            if not stopped and isinstance(message, Collecting | Started | Reported | Finished):
                silence.move(deadlines.silence_s)
        if stopped:
            raise GuestLost("the guest does not answer")
        stopped = f"stopped responding for {deadlines.silence_s:.0f} s"
        silence.move(STOP_GRACE_S)
        guest.channel.request(Signal(number=signal.SIGKILL))


def _taken(message: Received, progress: Progress) -> Iterator[Event]:
    """The event that a message is, if it may come now."""
    match message:
        case Output() | Warned():
            yield message
        case Collecting(file=file):
            _expect(progress.left is None and file not in progress.files_read, f"it reads {file} again")
            _expect(progress.request.root / file in progress.request.tests, f"it reads {file}")
            progress.collecting = file
            progress.files_read.append(file)
        case Uncollectable(file=file):
            _expect(progress.left is None and file in progress.files_read, f"it could not read {file}")
            progress.unreadable.add(file)
            yield message
        case Collected(tests=tests):
            _collected(tests, progress)
            yield message
        case Precompiled():
            _expect(progress.left and progress.running is None and not progress.finished, "it compiles ahead of time")
        case Started(nodeid=nodeid):
            _expect(progress.running is None and progress.left and nodeid == progress.left[0], f"{nodeid} begins")
            progress.running, progress.phases = nodeid, []
            yield message
        case Compiling():
            _expect(progress.running is not None, "it compiles without a test")
            yield message
        case Reported(nodeid=nodeid):
            _expect(nodeid == progress.running and _may_follow(message, progress.phases), f"{nodeid} {message.when}")
            progress.phases.append(message)
            if message.outcome == "failed":
                progress.failed(nodeid)
            yield message
        case Finished(nodeid=nodeid):
            done = progress.phases and progress.phases[-1].when == "teardown"
            _expect(nodeid == progress.running and done, f"{nodeid} is finished")
            yield _finish(progress)
        case Interrupted(reason=reason):
            progress.interrupted = reason


def _expect(holds: object, said: str) -> None:
    if not holds:
        raise GuestLost(f"the lab reported something impossible: {said[:200]}")


def _may_follow(report: Reported, before: list[Reported]) -> bool:
    """setup, then call if that passed, then teardown: one report of each."""
    if not before:
        return report.when == "setup"
    last = before[-1]
    if last.when == "setup":
        return report.when == ("call" if last.outcome == "passed" else "teardown")
    return last.when == "call" and report.when == "teardown"


def _collected(tests: tuple[str, ...], progress: Progress) -> None:
    """The tests that will run: asked for, each once, not too many."""
    request = progress.request
    _expect(progress.left is None and len(tests) <= CASES_MAX, f"{len(tests)} tests")
    _expect(len(set(tests)) == len(tests), "a test twice")
    for nodeid in tests:
        asked = request.wanted or request.functions
        _expect(nodeid in asked or function_of(nodeid) in asked, f"a test {nodeid}")
        _expect(nodeid.split("::")[0] not in progress.unreadable, f"a test {nodeid} of a file that it could not read")
    progress.left = list(tests)


def _finish(progress: Progress) -> Finished:
    assert progress.left is not None
    assert progress.running is not None
    nodeid = progress.running
    progress.left.remove(nodeid)
    progress.running = None
    progress.finished += 1
    return Finished(nodeid=nodeid)


def _death(progress: Progress, died: Died) -> Iterator[Event]:
    progress.failed(died.nodeid)
    yield died
    yield _finish(progress)


def _ending(end: Exited, progress: Progress, stopped: str) -> Iterator[Event]:
    """The child is gone: at the end of its run, in the middle of a test, or of reading a test file."""
    how = _how(end, progress, stopped)
    if progress.running is not None:
        yield from _death(progress, Died(progress.running, how, lab=False))
    elif progress.left is None:
        if not progress.collecting:
            raise GuestLost(f"pytest exited in the lab before it read a test file: {how}")
        yield Uncollectable(file=progress.collecting, text=how)


def _how(end: Exited, progress: Progress, stopped: str) -> str:
    if stopped:
        return f"it {stopped} and was killed"
    if end.out_of_memory:
        return "it exceeded the memory limit and was killed (OOM)"
    if progress.interrupted:
        return f"the code raised {progress.interrupted}, which ends a test run"
    if end.status < 0:
        return f"its process was killed by signal {-end.status} ({signal_name(-end.status)})"
    return f"the code ended its own process (exit status {end.status})"
