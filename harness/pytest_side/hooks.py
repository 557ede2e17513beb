"""The pytest plug-in on the host: lessons are collected here, run in the lab, reported here.

Outside the trees of the workbook it does nothing.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Generator, Iterator, Sized
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from harness import seed
from harness.course import catalog
from harness.course.specification import CASES_MAX
from harness.errors import LabError, UsageError, WorkbookError
from harness.lab.image import target
from harness.lab.image.architecture import ARCHITECTURES
from harness.lab.image.kernels import KERNELS
from harness.protocol.visible import visible
from harness.pytest_side import collect, reports, trees
from harness.tools import tool

if TYPE_CHECKING:
    from harness.lab.guest import Lab
    from harness.pytest_side.remote import RemoteRun

LAB_FAILED = 3
"""Exit code when the lab failed: pytest's own "internal error", which says nothing about the tests either."""

RUNS = pytest.StashKey["Runs"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("workbook", "eBPF Workbook")
    group.addoption("--tree", choices=("lessons", "solutions"), default="lessons", help="whose code to test")
    group.addoption("--lab", choices=("vm", "host"), default="vm", help="where: the virtual machine, or here as root")
    group.addoption("--kernel", default=None, help="the lab's kernel: " + ", ".join(one.name for one in KERNELS))
    group.addoption("--arch", default=None, help="the lab's architecture: " + ", ".join(x.name for x in ARCHITECTURES))
    group.addoption("--seed", type=int, default=None, help="replay a run's random names and numbers")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "step(n): the step of the lesson that this test proves")
    if config.option.seed is None:
        config.option.seed = seed.new()
    for variable, given in ((target.KERNEL, config.option.kernel), (target.ARCH, config.option.arch)):
        if given is not None:
            os.environ[variable] = given
    config.stash[RUNS] = Runs(config)


def pytest_report_header(config: pytest.Config) -> str:
    try:
        chosen = target.chosen()
    except UsageError as error:
        raise pytest.UsageError(visible(str(error))) from error
    where = config.option.lab if chosen.is_default else f"{config.option.lab} ({chosen})"
    return f"workbook: tree {config.option.tree}, lab {where}, seed {config.option.seed}"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse, before pytest imports any, what a folder in a tree would have it import."""
    for path in (early_config.inipath, early_config.rootpath):
        if path is not None and (place := trees.place(path)):
            wanted = "/".join((tool.TREE if place.is_tools else "lessons", *place.below[:1]))
            raise pytest.UsageError(
                f"{visible(str(path))}: inside {place.tree.name}/ nothing configures pytest; "
                f"in the checkout, run `pytest -c pyproject.toml {wanted}`"
            )
    for folder in _conftest_folders(early_config):
        _refuse_conftest(folder)


def _conftest_folders(config: pytest.Config) -> Iterator[Path]:
    """Where pytest looks for conftest.py before it collects: beside and above what it is given, and in test*/."""
    here = config.invocation_params.dir
    given: list[str] = list(config.known_args_namespace.file_or_dir)
    for pattern in config.getini("testpaths"):
        given += glob.glob(os.path.join(here, pattern), recursive=True)
    for name in ["", *given]:
        path = Path(os.path.abspath(here / name.split("::")[0]))
        yield from (path, *path.parents)
        if path.is_dir():
            yield from path.glob("test*")


def _refuse_conftest(folder: Path) -> None:
    if os.path.lexists(folder / "conftest.py") and trees.place(folder):
        name = visible(str(folder / "conftest.py"))
        raise pytest.UsageError(f"{name}: not loaded, it would run outside the lab; remove it")


def _refuse(path: Path) -> NoReturn:
    raise pytest.UsageError(
        f"{visible(str(path))}: not collected; "
        "in lessons/ and solutions/ these are NN-slug/test_*.py beside a lesson.toml alone, "
        "in tools/ NAME/test_*.py beside a loader.py"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Refuse a module of a tree that `--pyargs` names: to find it, pytest imports the packages above it."""
    for name in session.config.args if session.config.option.pyargs else ():
        first, *rest = name.split("::")[0].split(".")
        found = PathFinder.find_spec(first) if first else None
        if found is None:
            continue
        for folder in found.submodule_search_locations or [found.origin or ""]:
            if trees.place(Path(folder, *rest)):
                raise pytest.UsageError(f"{visible(name)}: not imported, it would run outside the lab; name its file")


def lesson_of(path: Path) -> catalog.Lesson | None:
    """The lesson, or the learner's own tool, whose test file `path` is."""
    place = trees.place(path)
    if place is None or not place.is_test_file or place.lesson is None:
        return None
    if place.is_tools:
        return tool.named(place.tree.parent, place.lesson.name)
    return catalog.load(place.lesson)


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Pass over what a tree holds besides its lessons' tests; pytest asks for all that was not named explicitly."""
    place = trees.place(collection_path)
    if place is None or place.may_hold_tests or place.is_test_file:
        return None
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A folder of a tree is a plain one, with `__init__.py` too, and has no conftest.py."""
    place = trees.place(path)
    if place is None:
        return None
    _refuse_conftest(path)
    if not place.may_hold_tests:
        _refuse(path)
    folder: pytest.Collector = pytest.Dir.from_parent(parent, path=path)
    return folder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Drop what other plug-ins make of a lesson's test file, such as doctests, which run here."""
    place = trees.place(file_path)
    if place is not None and not place.is_test_file:
        _refuse(file_path)
    found = yield
    return found if place is None else [node for node in found if isinstance(node, collect.LessonModule)]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if trees.place(module_path) is None:
        return None
    try:
        lesson_of(module_path)
    except UsageError as error:
        raise pytest.UsageError(visible(str(error))) from error
    module: pytest.Module = collect.LessonModule.from_parent(parent, path=module_path)
    return module


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A few lines of a lesson can name more cases than there is memory for."""
    if not is_lesson_item(metafunc.definition):
        return
    cases = 1
    for mark in metafunc.definition.iter_markers("parametrize"):
        values = mark.kwargs.get("argvalues", mark.args[1] if len(mark.args) > 1 else ())
        cases *= len(values) if isinstance(values, Sized) else 1
    if cases > CASES_MAX:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} has more than {CASES_MAX} cases")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A refusal ends pytest with its sentence, in place of a collection error with a traceback."""
    report = yield
    call = getattr(report, "call", None)
    if call is not None and call.excinfo is not None and isinstance(call.excinfo.value, pytest.UsageError):
        raise call.excinfo.value
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin to restore the guest while pytest is still busy; a mere listing starts none."""
    remote = [item for item in items if is_lesson_item(item)]
    if remote and config.getoption("usepdb"):
        lesson = lesson_of(remote[0].path)
        assert lesson is not None
        raise pytest.UsageError(
            f"--pdb has no terminal inside the lab; `workbook shell {lesson.number}` opens one with your files in it"
        )
    for item in remote:
        item.add_marker(pytest.mark.timeout(0), append=False)  # the lab keeps the time of its tests itself
    if remote and not config.option.collectonly and not being_debugged():
        config.stash[RUNS].prepare()


def being_debugged() -> bool:
    """Whether an editor's debugger runs this: VS Code's debugpy, or pydevd, on which that and PyCharm's stand."""
    return not {"debugpy", "pydevd"}.isdisjoint(sys.modules)


def is_lesson_item(item: pytest.Item) -> bool:
    """Whether `item` runs in the lab."""
    return item.getparent(collect.LessonModule) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if not is_lesson_item(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in item.config.stash[RUNS].reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    runs = session.config.stash[RUNS]
    runs.close()
    if runs.lab_failed:
        session.exitstatus = LAB_FAILED
    elif runs.open and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    if runs := config.stash.get(RUNS, None):
        runs.close()


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    kind = getattr(report, "verdict", None)
    if kind == "blocked":
        return "skipped", "b", "BLOCKED"
    if kind == "todo" and report.failed:
        return "failed", "T", "TODO"
    return None


class Runs:
    """The runs of this session: one for each lesson folder, each in a separate guest."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lab: Lab | None = None
        self._run: RemoteRun | None = None
        self._folder: Path | None = None
        self.lab_failed = False
        self.open = False
        """A test did not pass; a skip, which pytest counts as no failure, proves nothing."""

    def prepare(self) -> None:
        """Find or build the lab, and restore a guest; a failure is left for the first item to report."""
        from harness.lab.choose import open_lab

        if self._lab is None:
            reporter = self._config.pluginmanager.get_plugin("terminalreporter")
            try:
                self._lab = open_lab(self._config.option.lab, target.chosen(), lambda text: self._say(reporter, text))
                self._lab.deadlines = replace(self._lab.deadlines, given_s=self._config.option.timeout)
                self._lab.prepare()
            except WorkbookError as error:
                message = f"{error}" + (f"\nnext: {error.remedy}" if error.remedy else "")
                raise pytest.exit.Exception(message, returncode=error.exit_code) from error

    def _say(self, reporter: Any, text: str) -> None:
        if reporter is not None:
            reporter.write_line(f"lab: {text}")

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Run `item` (and with its first item a whole folder) and give its reports."""
        if being_debugged():
            self.lab_failed = True
            yield reports.of_debugger(item)
            return
        folder = item.path.parent
        if self._run is None or self._folder != folder:
            self._begin(item, folder)
        assert self._run is not None
        try:
            for report in self._run.reports(item):
                self.lab_failed |= getattr(report, "verdict", None) == "lab"
                self.open |= not report.passed
                yield report
        except LabError as error:
            self.lab_failed = True
            self._close_run()
            yield reports.of_lab_error(item, error)

    def _begin(self, item: pytest.Item, folder: Path) -> None:
        from harness.pytest_side.remote import RemoteRun

        self._close_run()
        self.prepare()
        lesson = lesson_of(item.path)
        assert lesson is not None
        assert self._lab is not None
        rest = item.session.items[item.session.items.index(item) :]
        mine = [other for other in rest if other.path.parent == folder and is_lesson_item(other)]
        self._folder = folder
        live = sys.stdout if self._config.option.capture == "no" else None
        try:
            self._run = RemoteRun(self._config, self._lab, lesson, mine, live)
        except UsageError as error:  # such as a loader.py that is a link
            raise pytest.UsageError(visible(str(error))) from error

    def _close_run(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None

    def close(self) -> None:
        """End all guests."""
        self._close_run()
        if self._lab is not None:
            self._lab.close()
            self._lab = None
