"""One pytest run over one lesson in the lab, as a stream of events; a guest that dies costs one test."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import GuestLost
from harness.lab.guest import Deadlines, Guest, Lab
from harness.lab.virtual import VirtualLab
from harness.protocol.frames import Kind
from harness.protocol.names import LEARNERS_TEST

STOP_GRACE_S = 10


@dataclass(frozen=True)
class Batch:
    """What to run: files, and the tests in them."""

    root: Path
    """pytest's root directory; node ids are relative to it."""
    code: Path
    """The folder whose loader.py is under test."""
    files: Mapping[Path, bytes]
    """Absolute path → content."""
    tests: tuple[Path, ...]
    """Test files, absolute."""
    wanted: tuple[str, ...] = ()
    """Node ids to run; empty means all in `tests`."""
    options: tuple[str, ...] = ()
    """Further arguments for the guest's pytest."""
    seed: int = 0
    open_step: int | None = None
    """A step that is known to be open: tests of later ones are blocked."""
    holes: tuple[int, ...] = ()
    """Steps that the learner has not touched: behind the first failing test of one, its others are blocked too."""


@dataclass(frozen=True)
class Collected:
    """The tests that will run, in order: node id and step."""

    tests: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Started:
    """A test begins."""

    nodeid: str


@dataclass(frozen=True)
class Output:
    """Bytes that the lesson's code printed."""

    stream: str
    """"stdout" or "stderr"."""
    data: bytes


@dataclass(frozen=True)
class Reported:
    """One of pytest's reports, in its own serialised form, with the facts of harness.guest.testing.plugin."""

    report: dict[str, Any]


@dataclass(frozen=True)
class Uncollectable:
    """A test file that cannot be imported, with pytest's collect report."""

    report: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A test has ended, with all its phases reported."""

    nodeid: str


@dataclass(frozen=True)
class Died:
    """The test process, or the whole guest, ended in the middle of a test."""

    nodeid: str
    reason: str
    lab: bool
    """True when the guest is lost; False when it was only the test's own process."""
    console: str = ""


Event = Collected | Started | Output | Reported | Uncollectable | Finished | Died


@dataclass
class _Progress:
    """How far one guest came."""

    collecting: str | None = None
    """The test file that is being read."""
    left: list[str] | None = None
    """Node ids not finished yet; None before the collection is complete."""
    steps: dict[str, int | None] = field(default_factory=dict)
    running: str | None = None
    finished: int = 0
    interrupted: str = ""
    """What ended pytest's session early, such as KeyboardInterrupt."""
    open_step: int | None = None

    @property
    def complete(self) -> bool:
        return self.left == []

    def failed(self, nodeid: str) -> None:
        """Note the step of a failing test of the specification."""
        step = self.steps.get(nodeid)
        if step is not None and not nodeid.split("::")[0].endswith(LEARNERS_TEST):
            self.open_step = min(step, self.open_step or step)


def run(lab: Lab, batch: Batch) -> Generator[Event, None, None]:
    """Events of the run, each test's in order. LabError when no guest can be had at all."""
    while True:
        progress = _Progress(open_step=batch.open_step)
        try:
            with lab.open() as guest:
                yield from _run_in(guest, lab, batch, progress)
        except GuestLost as lost:
            if progress.running is None:
                raise
            reason = f"the lab's kernel crashed while running {progress.running} ({lost})"
            yield from _death(progress, Died(progress.running, reason, lab=True, console=lost.console))
        if progress.complete:
            return
        if progress.left is not None:
            if not progress.finished:
                raise GuestLost("pytest ended in the lab before it had run a test")
            batch = replace(batch, wanted=tuple(progress.left), open_step=progress.open_step)
        else:
            batch = _without(batch, str(progress.collecting))
            if not batch.tests:
                return


def _without(batch: Batch, file: str) -> Batch:
    """The run without a test file that cannot be read."""
    return replace(
        batch,
        tests=tuple(path for path in batch.tests if path != batch.root / file),
        wanted=tuple(nodeid for nodeid in batch.wanted if nodeid.split("::")[0] != file),
    )


def fields(batch: Batch, deadlines: Deadlines) -> dict[str, Any]:
    """What the guest is told of `batch` (harness.guest.testing.runner)."""
    return {
        "rootdir": str(batch.root),
        "options": [
            f"--timeout={deadlines.test_s:.0f}",
            "--timeout-method=signal",
            # ctypes swallows what a callback raises (iovisor/bcc#4650); pytest sees it and must fail the test for it
            "-W",
            "error::pytest.PytestUnraisableExceptionWarning",
            *batch.options,
        ],
        "tests": [str(path) for path in batch.tests],
        "code": str(batch.code),
        "wanted": batch.wanted,
        "seed": batch.seed,
        "deadline_s": deadlines.wait_s,
        "open_step": batch.open_step,
        "holes": batch.holes,
    }


def begin(lab: VirtualLab, batch: Batch) -> None:
    """Let the waiting guest begin `batch` and stop before its first test: `run` goes on from there."""
    lab.begin(batch.files, batch.root, fields(batch, lab.deadlines))


def _run_in(guest: Guest, lab: Lab, batch: Batch, progress: _Progress) -> Iterator[Event]:
    guest.put(batch.files)
    deadlines = lab.deadlines
    guest.spawn("pytest", batch.root, **fields(batch, deadlines))
    stopped = False
    end = time.monotonic() + deadlines.silence_s
    while True:
        left_s = end - time.monotonic()
        frame = guest.channel.receive(left_s) if left_s > 0 else None
        if frame is None:
            if stopped:
                raise GuestLost("the guest does not answer")
            stopped = True
            end = time.monotonic() + STOP_GRACE_S
            guest.channel.request("signal", number=9)
        elif frame.kind in (Kind.STDOUT, Kind.STDERR):
            yield Output(frame.kind.name.lower(), frame.payload)
        elif frame.kind is Kind.REPORT:
            if not stopped:
                end = time.monotonic() + deadlines.silence_s
            try:
                yield from _translate(frame.json(), progress)
            except (KeyError, TypeError, ValueError) as error:
                raise GuestLost(f"the lab sent a report that cannot be read: {error!r}") from error
            if progress.finished and progress.complete:
                return  # how pytest ends after its last test says nothing more
        elif frame.kind is Kind.CONTROL and (answer := frame.json()).get("event") == "exit":
            yield from _ending(answer, progress, f"no sign of life for {deadlines.silence_s:.0f} s" if stopped else "")
            return


def _translate(event: dict[str, Any], progress: _Progress) -> Iterator[Event]:
    name = event["event"]
    if name == "collecting":
        progress.collecting = event["file"]
    elif name == "collected":
        progress.steps = dict(event["tests"])
        progress.left = list(progress.steps)
        yield Collected(tuple(progress.steps.items()))
    elif name == "collect":
        yield Uncollectable(event["report"])
    elif name == "start":
        progress.running = event["nodeid"]
        yield Started(event["nodeid"])
    elif name == "report":
        if event["report"]["outcome"] == "failed":
            progress.failed(event["report"]["nodeid"])
        yield Reported(event["report"])
    elif name == "finish":
        yield _finish(progress)
    elif name == "interrupted":
        progress.interrupted = event["reason"]


def _finish(progress: _Progress) -> Finished:
    nodeid = progress.running
    if nodeid is None or progress.left is None or nodeid not in progress.left:
        raise GuestLost("the lab reported the end of a test that it had not begun")
    progress.left.remove(nodeid)
    progress.running = None
    progress.finished += 1
    return Finished(nodeid)


def _death(progress: _Progress, died: Died) -> Iterator[Event]:
    progress.failed(died.nodeid)
    yield died
    yield _finish(progress)


def _ending(answer: dict[str, Any], progress: _Progress, stopped: str) -> Iterator[Event]:
    """The child is gone: at the end of its run, in the middle of a test, or of reading a test file."""
    status = answer["status"]
    if stopped:
        how = f"it gave {stopped} and was ended"
    elif answer.get("out_of_memory"):
        how = "it took all the memory that the lab gives to a lesson, and the kernel ended it"
    elif progress.interrupted:
        how = f"the code raised {progress.interrupted}, which ends a test run"
    elif status < 0:
        how = f"its process was ended by signal {-status} ({signal.Signals(-status).name})"
    else:
        how = f"the code ended its own process (exit status {status})"
    if progress.running is not None:
        yield from _death(progress, Died(progress.running, how, lab=False))
    elif progress.left is None:
        if progress.collecting is None:
            raise GuestLost(f"pytest ended in the lab before it had read a test file: {how}")
        yield Uncollectable({"nodeid": progress.collecting, "longrepr": how})
