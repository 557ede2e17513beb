"""The author's check finds what does not hold; what it needs a guest for is played here by a table of verdicts."""

import os
from dataclasses import dataclass, field, replace

import pytest
from conftest import HINTS

from harness.authoring import pages, proving
from harness.authoring import parts as author
from harness.course import catalog
from harness.errors import GuestLost, LabError, UsageError
from harness.lab.guest import Deadlines
from harness.run import outcome
from harness.run.outcome import Results
from harness.run.verdict import Verdict

TOML = """\
title = "Small"
topic = "small"
teaches = []
needs = []
[[step]]
title = "act"
"""
LOADER = """\
def act() -> int:
    \"\"\"Twenty-three.\"\"\"
    # TODO 1: return the number
    return 23
    # end of TODO 1
"""
MUTANT = """\
[[mutant]]
name = "off-by-one"
file = "loader.py"
find = "{find}"
replace = "22"
misconception = "takes 22 for it"
killed_by = "{killed_by}"
"""
MINE = "lessons/91-small/test_mine.py::test_mine"
NODE = "lessons/91-small/test_small.py::test_act"


def passed(printed=""):
    return outcome.TestResult(NODE, 1, Verdict("done"), printed=printed)


def said_no(exception="AssertionError"):
    return outcome.TestResult(NODE, 1, Verdict("red"), exception)


NOT_RUN = outcome.TestResult(NODE, 1)
TIMED_OUT = replace(said_no("Failed"), verdict=Verdict("red", "", "Timeout (>30.0s) from pytest-timeout."))


@dataclass
class Lab:
    """Stands for the lab: answers are looked up by what the loader is replaced with."""

    solution: outcome.TestResult = field(default_factory=passed)
    mutant: outcome.TestResult = field(default_factory=said_no)
    oracle: outcome.TestResult = field(default_factory=lambda: passed("reference 23, oracle 23\n"))
    mine: outcome.TestResult = field(default_factory=passed)
    stub: outcome.TestResult | None = None
    runs: list = field(default_factory=list)
    deadlines = Deadlines(1)
    lacking, on = {}, ""

    def run(self, lab, request, progress=None, until=lambda _: False):
        """What outcome.run would say."""
        loader = request.files[request.code / "loader.py"].decode()
        if request.tests[0].parent.name == "oracles":
            kind = "oracle"
        else:
            alone = [path.name for path in request.tests] == ["test_mine.py"] and "22" not in loader
            kind = "mine" if alone else "mutant" if "22" in loader else "solution" if "return 23" in loader else "stub"
        answer = getattr(self, kind)
        wanted = request.message(self.deadlines).wanted
        self.runs.append((kind, wanted, answer is not None and until(answer)))
        if answer is None:
            raise GuestLost("the guest is gone")
        mine = {MINE: replace(self.mine, nodeid=MINE)} if kind == "solution" else {}
        return Results(request, {answer.nodeid: answer} | mine)


@pytest.fixture
def lesson(tmp_path):
    """A lesson of one step, with one mutant and an oracle."""
    for name, text in {
        "lessons/91-small/lesson.toml": TOML,
        "tests/hints/91-small.toml": HINTS,
        "lessons/91-small/test_small.py": "def test_act(loader): assert loader.act() == 23\n",
        "solutions/91-small/loader.py": LOADER,
        "tests/mutants/91-small.toml": MUTANT.format(find="23", killed_by="test_act"),
        "tests/oracles/91-small.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return catalog.load(tmp_path / "lessons/91-small")


@pytest.fixture
def found(lesson, monkeypatch):
    """All findings about the lesson in a lab that answers so, by the words that they begin with."""

    def check(lab, lesson=lesson):
        monkeypatch.setattr(outcome, "run", lab.run)
        return {f.what: f for f in proving.check_in_lab([lesson], lambda: lab, 1, lambda finding: None)}

    return check


def beginning(found, words):
    """The finding that begins so."""
    return next(finding for what, finding in found.items() if what.startswith(words))


def test_an_assertion_kills_a_mutant_if_the_solution_passes(found):
    assert beginning(found(Lab()), "mutant off-by-one").ok


def test_a_mutant_costs_one_run_of_one_test(found):
    lab = Lab()
    found(lab)
    assert [wanted for kind, wanted, _ in lab.runs if kind == "mutant"] == [(NODE,)]


@pytest.mark.parametrize(("answer", "over"), [(said_no(), True), (said_no("TypeError"), False)])
def test_a_mutants_run_is_over_when_it_is_killed(found, answer, over):
    lab = Lab(mutant=answer)
    found(lab)
    assert [ended for kind, _, ended in lab.runs if kind == "mutant"] == [over]


def test_a_step_is_proven_if_its_own_test_is_the_first_to_fail(found):
    stops = replace(said_no("NotImplementedError"), verdict=Verdict("todo"))
    lab = Lab(stub=stops)
    assert beginning(found(lab), "step 1 is proven").ok
    assert [ended for kind, _, ended in lab.runs if kind == "stub"][-1]
    for other in (replace(stops, step=0), said_no("TypeError"), passed()):
        assert not beginning(found(Lab(stub=other)), "step 1 is proven").ok


def test_earlier_steps_stand_by_with_one_test_each(found, monkeypatch, lesson):
    toml = lesson.folder() / "lesson.toml"
    toml.write_text(toml.read_text() + '[[step]]\ntitle = "act again"\n')
    lesson.hints.write_text(2 * HINTS)
    loader = lesson.folder("solutions") / "loader.py"
    loader.write_text(LOADER + LOADER.replace("act", "again").replace("TODO 1", "TODO 2"))
    names = {"first": 1, "second": 1, "third": 2, "fourth": 2, "fifth": None}
    tests = {f"{NODE}_{name}": replace(passed(), nodeid=f"{NODE}_{name}", step=step) for name, step in names.items()}
    asked = []

    def run(lab, request, until=None):
        asked.append(request.message(Lab.deadlines).wanted)
        return Results(request, tests)

    lab = Lab()
    monkeypatch.setattr(lab, "run", run)
    found(lab, catalog.load(lesson.folder()))
    assert tuple(f"{NODE}_{name}" for name in ("first", "third", "fourth")) in asked


def test_tests_stand_in_the_order_of_their_steps(lesson, found, monkeypatch):
    later, sooner = (replace(passed(), nodeid=f"{NODE}_{step}", step=step) for step in (2, 1))
    for tests, ok in (([later, sooner], False), ([sooner, later], True)):
        lab = Lab()
        monkeypatch.setattr(lab, "run", lambda *_, tests=tests, **__: Results(tests={t.nodeid: t for t in tests}))
        assert beginning(found(lab), "solution green").ok is ok


@pytest.mark.parametrize(
    ("lab", "why"),
    [
        (Lab(mutant=passed()), "survived: the test passed"),
        (Lab(mutant=said_no("TypeError")), "survived: test_act: red"),
        (Lab(mutant=NOT_RUN), "survived: test_act: not run"),
        (Lab(mutant=TIMED_OUT), "survived: test_act: red Timeout"),
        (Lab(solution=said_no()), "the test is not green on the reference"),
        (Lab(solution=NOT_RUN), "the test is not green on the reference"),
    ],
)
def test_a_mutant_that_is_not_killed_so_is_a_finding(found, lab, why):
    finding = beginning(found(lab), "mutant off-by-one")
    assert not finding.ok
    assert why in finding.detail


def test_a_mutant_may_name_one_case_of_a_test(lesson, found):
    lesson.mutants.write_text(MUTANT.format(find="23", killed_by="test_act[1]"))
    case = f"{NODE}[1]"
    lab = Lab(solution=replace(passed(), nodeid=case), mutant=replace(said_no(), nodeid=case))
    assert beginning(found(lab), "mutant off-by-one").ok
    assert [wanted for kind, wanted, _ in lab.runs if kind == "mutant"] == [(case,)]


@pytest.mark.parametrize(
    ("answer", "ok"), [(said_no(), True), (replace(said_no(), when="setup"), False), (NOT_RUN, False)]
)
def test_a_c_stub_loads_where_its_tests_ran(lesson, monkeypatch, answer, ok):
    lesson.folder("solutions").joinpath("small.bpf.c").write_text("int x;\n")
    lesson = catalog.load(lesson.folder())
    monkeypatch.setattr(outcome, "run", lambda lab, request: Results(request, {NODE: answer}))
    assert proving._c_stub(lesson, None).ok is ok


def test_a_mutant_whose_test_does_not_exist_is_a_finding(lesson, found):
    lesson.mutants.write_text(MUTANT.format(find="23", killed_by="test_nobody"))
    finding = beginning(found(Lab()), "mutant off-by-one")
    assert (finding.ok, finding.detail) == (False, "the test does not exist")


@pytest.mark.parametrize("find", ["nowhere", "n"])
def test_a_mutant_that_does_not_find_its_text_once_is_a_finding(lesson, found, find):
    lesson.mutants.write_text(MUTANT.format(find=find, killed_by="test_act"))
    said = "mutant 'off-by-one' finds its text"
    assert said in beginning({f.what: f for f in author.check_files(lesson)}, "each mutant finds").detail
    assert said in beginning(found(Lab()), "mutant off-by-one").detail


def test_the_oracles_numbers_are_shown_where_all_is_well(found):
    finding = beginning(found(Lab()), "oracle agrees")
    assert (finding.ok, finding.shown) == (True, "reference 23, oracle 23")


@pytest.mark.parametrize("answer", [passed(""), said_no()])
def test_an_oracle_that_fails_or_shows_no_numbers_is_a_finding(found, answer):
    assert not beginning(found(Lab(oracle=answer)), "oracle").ok


def test_a_missing_oracle_is_a_finding(lesson):
    lesson.oracle.unlink()
    assert not beginning({f.what: f for f in author.check_files(lesson)}, "an oracle").ok


@pytest.mark.timeout(20)
def test_a_lab_that_cannot_be_had_leaves_no_check_waiting(lesson, monkeypatch):
    asked = []
    monkeypatch.setattr(outcome, "run", Lab().run)

    def new_lab():
        asked.append(1)
        if len(asked) == 1:
            raise LabError("no lab")
        return Lab()

    found = {f.what: f for f in proving.check_in_lab([lesson], new_lab, 1, lambda _: None)}
    assert "no lab" in beginning(found, "solution green").detail
    assert "no lab" in beginning(found, "mutant").detail


def test_a_lost_guest_is_a_failed_finding_and_the_rest_goes_on(found):
    seen = found(Lab(stub=None))
    assert "the lab: the guest is gone" in beginning(seen, "stub red").detail
    assert beginning(seen, "mutant off-by-one").ok
    assert not beginning(found(Lab(solution=None)), "mutant off-by-one").ok


@pytest.mark.parametrize(
    ("first", "mutant", "ok", "runs"),
    [(passed, said_no, True, 1), (passed, passed, False, 1), (said_no, said_no, False, 0)],
)
def test_the_references_learners_test_catches_its_mutant(lesson, found, first, mutant, ok, runs):
    lesson.hints.write_text(HINTS + 'mutant = "off-by-one"\n')
    for tree in ("lessons", "solutions"):
        (lesson.folder(tree) / "test_mine.py").write_text("")
    lab = Lab(mutant=mutant(), mine=first())
    finding = beginning(found(lab, catalog.load(lesson.folder())), "step 1: the reference's own test")
    assert (finding.ok, sum(kind == "mine" for kind, *_ in lab.runs)) == (ok, runs)


def test_what_a_lesson_says_is_checked(lesson):
    (lesson.folder("solutions") / "loader.py").write_text(LOADER.replace("23", "bpf.ksym(name) + 23"))
    (lesson.folder() / "lesson.toml").write_text(TOML.replace("[]", '["BPF.sym"]', 1))
    lesson.hints.write_text(HINTS.replace('"c"', '"return bpf.ksym(name) + 23"'))
    found = {f.what: f for f in author.check_files(catalog.load(lesson.folder()))}
    assert "BPF.ksym (solutions/91-small/loader.py:4)" in beginning(found, "every BCC name").detail
    assert "BPF.sym" in beginning(found, "every taught name").detail
    assert "hint 3 of step 1 holds" in beginning(found, "no answer is in a hint").detail


def test_steps_and_mutants_share_a_guest_references_do_not(lesson, monkeypatch):
    lab, labs = Lab(), []
    monkeypatch.setattr(
        outcome, "run", lambda where, *rest, **more: labs.append(where) or lab.run(where, *rest, **more)
    )
    proving.check_in_lab([lesson], lambda: lab, 1, lambda finding: None)
    assert [type(where).__name__ for where in labs] == ["Lab", "Lab", "Lab", "SharedLab", "SharedLab"]
    assert labs[3] is labs[4]


def fifo(path):
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)


@pytest.mark.timeout(20)  # a read that blocks ends as a failure
@pytest.mark.parametrize("name", ["lessons/91-small/loader.py", "solutions/91-small/loader.py", "docs/91-small.md"])
def test_an_odd_file_of_a_lesson_is_named(lesson, name):
    fifo(lesson.root / name)
    with pytest.raises(UsageError, match=f"{name} is a FIFO"):
        author.check_files(lesson)


@pytest.mark.timeout(20)
def test_an_odd_page_is_named_and_a_wrong_one_is_not_rewritten(lesson):
    page = lesson.page
    page.parent.mkdir()
    page.write_bytes(b"<!-- code: solutions/91-small/loader.py -->\n\xff\n")
    with pytest.raises(UsageError, match=r"91-small.md: not valid UTF-8 \(byte 44\)"):
        list(pages.changes(page, lesson.root, [lesson], pages.FILES))
    fifo(page)
    with pytest.raises(UsageError, match="is a FIFO"):
        pages.blocks(page)


def test_code_of_a_link_is_not_shown(lesson):
    lesson.page.parent.mkdir()
    lesson.page.write_text("<!-- code: shown.py -->\n")
    (lesson.root / "shown.py").symlink_to(lesson.folder("solutions") / "loader.py")
    with pytest.raises(UsageError, match=r"shown\.py is a link"):
        list(pages.changes(lesson.page, lesson.root, [lesson], pages.FILES))
