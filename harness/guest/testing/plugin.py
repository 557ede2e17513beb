"""The pytest plug-in beside the learner's code: which tests run, what is said of a failure, what stops early."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.guest.observing.capture import Witness
from harness.guest.testing.fixtures import eventually, kernel, loader, native, rng, trace, workload  # noqa: F401 - fixtures for the tests
from harness.guest.testing.leftovers import Leftovers
from harness.guest.testing.no_events import Silence
from harness.guest.testing.settings import SETTINGS, Settings
from harness.protocol.names import LEARNERS_TEST

FRAMES_MAX = 50
GUEST_DIR = Path(__file__).resolve().parents[3]
"""Where the harness and pytest are; a traceback's frames from here are of no use to a learner."""


OPEN_STEP = pytest.StashKey[int]()
WITNESS = pytest.StashKey[Witness]()


class Given:
    """Hands the settings of this run to the hooks below."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[SETTINGS] = self._settings
        if self._settings.open_step is not None:
            config.stash[OPEN_STEP] = self._settings.open_step


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "step(n): the step of the lesson that this test proves")
    config.pluginmanager.register(Leftovers(), "workbook-leftovers")
    config.pluginmanager.register(Silence(), "workbook-silence")
    config.stash[WITNESS] = Witness(config.stash[SETTINGS].deadline_s)
    config.stash[WITNESS].install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that the host selected; a test that only this side knows belongs to its function."""
    wanted = config.stash[SETTINGS].wanted
    if wanted:
        keep = [item for item in items if item.nodeid in wanted or item.nodeid.split("[")[0] in wanted]
        config.hook.pytest_deselected(items=[item for item in items if item not in keep])
        items[:] = keep


def step_of(item: pytest.Item) -> int | None:
    """The number in the test's `step` mark."""
    mark = item.get_closest_marker("step")
    return int(mark.args[0]) if mark and mark.args else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test behind an open step cannot say anything of its own, nor can a second one of a step that is a hole."""
    step, first_open = step_of(item), item.config.stash.get(OPEN_STEP, None)
    if step is None or first_open is None:
        return
    if step > first_open or (step == first_open and step in item.config.stash[SETTINGS].holes):
        pytest.skip(f"blocked by step {first_open}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the facts that the host's verdict is made of."""
    report = yield
    report.facts = {"step": step_of(item)} | _facts(call.excinfo)  # type: ignore[attr-defined]
    if report.failed and call.excinfo is not None:
        report.facts["evidence"] = item.config.stash[WITNESS].evidence(call.excinfo.value)
    step = step_of(item)
    if report.failed and step is not None and item.path.name != LEARNERS_TEST:
        item.config.stash[OPEN_STEP] = min(step, item.config.stash.get(OPEN_STEP, step))
    return report


def _facts(excinfo: pytest.ExceptionInfo[BaseException] | None) -> dict[str, Any]:
    if excinfo is None:
        return {}
    frames = [
        (str(entry.path), entry.lineno + 1, entry.name)
        for entry in excinfo.traceback
        if not Path(entry.path).is_relative_to(GUEST_DIR)
    ][-FRAMES_MAX:]
    if isinstance(error := excinfo.value, SyntaxError) and error.filename and error.lineno:
        frames.append((error.filename, error.lineno, ""))
    return {"exception": excinfo.typename, "message": str(excinfo.value)[:4000], "frames": frames}
