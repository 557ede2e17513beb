"""The pytest plug-in beside the learner's code: which tests run, what is said of a failure, what stops early."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest._code.code import Traceback
from _pytest._io.saferepr import saferepr_unlimited

from harness.guest.observing.capture import Capture
from harness.guest.testing import timer
from harness.guest.testing.asserted import OPTION, Asserted
from harness.guest.testing.fixtures import eventually, kernel, loader, native, provoke, rng, trace, workload  # noqa: F401 - fixtures for the tests
from harness.guest.testing.given import FACTS, HELD, REPORT, RUN
from harness.guest.testing.guard import Fault, Unprovoked
from harness.guest.testing.kept import kept, locals_of
from harness.guest.testing.leftovers import Leftovers
from harness.guest.testing.no_events import NoEvents
from harness.protocol import open_step as opened
from harness.protocol.facts import Facts, Frame, Kept
from harness.protocol.messages import Compiling, Run
from harness.protocol.names import LEARNERS_TEST, function_of

FRAMES_MAX = 50
MESSAGE_MAX = 4000
GUEST_DIR = Path(__file__).resolve().parents[3]
"""Where the harness and pytest are; a traceback's frames from here are of no use to a learner."""

OPEN_STEP = pytest.StashKey[int | None]()
CAPTURE = pytest.StashKey[Capture]()


class Given:
    """Hands what the host asked for to the hooks below."""

    def __init__(self, request: Run) -> None:
        self._request = request

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[RUN] = self._request
        config.stash[OPEN_STEP] = self._request.open_step


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "step(n): the step of the lesson that this test proves")
    config.pluginmanager.register(Leftovers(), "workbook-leftovers")
    config.pluginmanager.register(NoEvents(), "workbook-no-events")
    config.pluginmanager.register(timer, "workbook-timer")
    config.stash[HELD] = set()
    if config.getini(OPTION):
        config.pluginmanager.register(Asserted(), "workbook-asserted")
    config.stash[CAPTURE] = Capture(config.stash[RUN].wait_s, lambda: config.stash[REPORT](Compiling()))
    config.stash[CAPTURE].install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that the host selected; a test that only this side knows belongs to its function."""
    wanted = frozenset(config.stash[RUN].wanted)
    keep = [item for item in items if item.nodeid in wanted or function_of(item.nodeid) in wanted]
    config.hook.pytest_deselected(items=[item for item in items if item not in keep])
    items[:] = keep


def step_of(item: pytest.Item) -> int | None:
    """The number in the test's `step` mark."""
    mark = item.get_closest_marker("step")
    return mark.args[0] if mark and mark.args and isinstance(mark.args[0], int) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what waits for an open step."""
    open_step = item.config.stash[OPEN_STEP]
    if open_step is not None and opened.waits(step_of(item), open_step, item.config.stash[RUN].holes):
        pytest.skip(opened.blocked_by(open_step))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the facts that the host's verdict is made of."""
    if call.excinfo is not None and isinstance(call.excinfo.value, Fault):
        raise call.excinfo.value  # pytest's internal error, which is reported as such
    report = yield
    facts = _of_exception(call.excinfo)
    if report.failed and call.excinfo is not None:
        gathered, symbols = item.config.stash[CAPTURE].about(call.excinfo.value, facts.message)
        facts = replace(facts, gathered=gathered, symbols=symbols, kept=_kept(item, call.excinfo.value))
    setattr(report, FACTS, facts)
    if report.failed and item.path.name != LEARNERS_TEST:
        item.config.stash[OPEN_STEP] = opened.first_open([step_of(item)], item.config.stash[OPEN_STEP])
    return report


def _of_exception(excinfo: pytest.ExceptionInfo[BaseException] | None) -> Facts:
    if excinfo is None:
        return Facts()
    frames = _frames(excinfo.traceback)
    error = excinfo.value
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and isinstance(error.lineno, int):
        frames.append(Frame(path=error.filename, line=error.lineno))
    message = _message(error)[:MESSAGE_MAX]
    lab = message if isinstance(error, Unprovoked) else ""
    return Facts(exception=excinfo.typename, message=message, lab=lab, frames=tuple(frames))


def _frames(traceback: Traceback) -> list[Frame]:
    return [
        Frame(path=str(entry.path), line=entry.lineno + 1, name=entry.name)
        for entry in traceback
        if not Path(entry.path).is_relative_to(GUEST_DIR)
    ][-FRAMES_MAX:]


def _kept(item: pytest.Item, raised: BaseException) -> Kept | None:
    """An exception of the learner's code that an object of the test holds."""
    values = getattr(item, "funcargs", {}) | locals_of(raised.__traceback__, str(item.path))
    if (found := kept(values, raised)) is None:
        return None
    name, error = found
    frames = tuple(_frames(pytest.ExceptionInfo.from_exception(error).traceback))
    return Kept(name=name, exception=type(error).__name__, message=_message(error)[:MESSAGE_MAX], frames=frames)


def _message(error: BaseException) -> str:
    """str(error), whatever the tested code's own __str__ does."""
    try:
        return str(error)
    except Exception:
        return saferepr_unlimited(error)
