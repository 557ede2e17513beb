"""The learner's own test is judged: on the reference, on the wrong answer of its step, on all the others."""

import contextlib
import io
import json

import pytest
from labs import AgentLab, FakeLab, passed, small
from rich.console import Console
from test_commands import ROOT, workbook
from typer.testing import CliRunner

from harness.cli import learn
from harness.course import catalog
from harness.course.mutants import Mutant
from harness.learner import judge as judging
from harness.learner import verify
from harness.protocol.facts import Facts, Frame
from harness.protocol.messages import Collected, Collecting, Exited, Uncollectable
from harness.run import outcome
from harness.run.verdict import Verdict

TOML = """\
title = "Small"
topic = "small"
teaches = []
needs = []
[[step]]
title = "your own test: the number"
"""
HINTS = '[[step]]\nhints = ["a", "b", "c"]\nmutant = "off-by-one"\n'
MUTANTS = """\
[[mutant]]
name = "off-by-one"
file = "loader.py"
find = "return 23"
replace = "return 22"
misconception = "counts one too few"
killed_by = "test_act"

[[mutant]]
name = "text"
file = "loader.py"
find = "return name"
replace = "return name.upper()"
misconception = "takes a name's letters for equal"
killed_by = "test_name"
"""
LOADER = "def act():\n    return 23\n\n\ndef same(name):\n    return name\n"
GOOD = "def test_mine(loader):\n    assert loader.act() == 23\n"


def lesson_of(course, more=""):
    """The small lesson with a reference, hints and wrong answers, and `more` of them."""
    course.write("lesson.toml", TOML)
    course.write_hints(HINTS)
    (course.root / "solutions/90-small/loader.py").write_text(LOADER)
    lesson = small(course)
    lesson.mutants.parent.mkdir(parents=True)
    lesson.mutants.write_text(MUTANTS + more)
    return lesson


@pytest.fixture
def judge(course):
    """Judges the text of a test_mine.py in the small course."""
    lesson_of(course)

    def run(text, *options):
        course.write("test_mine.py", text)
        return workbook("judge", "90", *options, cwd=course.root)

    return run


@pytest.mark.guest
def test_a_good_test_catches_its_mutant_and_lists_the_missed(judge):
    seen = judge(GOOD)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "passes on the reference, 2 times" in seen.stdout
    assert "catches the wrong answer of its step (off-by-one)" in seen.stdout
    assert "score 1/2 wrong answers caught; one test need not catch them all" in seen.stdout
    assert "missed: takes a name's letters for equal" in seen.stdout
    begin = "judging 90-small: your test on "
    parts = [line.removeprefix(begin) for line in seen.stderr.splitlines() if line.startswith(begin)]
    assert [part.split(",")[0].split(";")[0] for part in parts] == [
        "the reference solution (run 1 of 2)",
        "the reference solution (run 2 of 2)",
        "wrong answer 1 of 2",
        "wrong answer 2 of 2",
    ]
    decided = seen.stderr.index("your test: it catches the wrong answer of its step")
    assert decided < seen.stderr.index("wrong answer 2 of 2")


@pytest.mark.guest
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def test_mine(loader):\n    assert loader.act() > 20\n", "lets a wrong answer pass"),
        (
            "def test_mine(loader):\n    assert [23].index(loader.act()) == 0\n",
            "on a wrong answer it raises an error instead of failing its assertion: ValueError",
        ),
        ("def test_mine(loader):\n    assert loader.act() == 22\n", "assert 23 == 22"),
        ("", "holds no test"),
        (
            "def test_mine(loader):\n    for _ in []:\n        assert loader.act() == 23\n",
            "asserted nothing on the ref",
        ),
    ],
    ids=["weak", "breaks", "wrong", "empty", "a loop over nothing"],
)
def test_a_test_that_misses_its_mutant_is_not_good_enough(judge, text, why):
    seen = judge(text, "--json")
    step = json.loads(seen.stdout)["steps"][0]
    assert (seen.returncode, step["catches"]) == (1, False)
    assert why in step["why_not"]


def test_a_test_that_cannot_be_parsed_is_shown_its_error(course):
    lesson = lesson_of(course)
    file = f"lessons/90-small/{judging.LEARNERS_TEST}"
    error = Uncollectable(file=file, text="SyntaxError: '(' was never closed")
    lab = FakeLab(Collecting(file=file), error, Collected(tests=()), Exited(status=2))
    found = judging.judge(lab, lesson, lesson.steps[0], b"def test_mine(:\n")
    assert (found.passes, found.why_not) == (False, "SyntaxError: '(' was never closed")


def test_a_test_that_times_out_on_a_wrong_answer_misses_it(course):
    lesson = lesson_of(course)
    mine = "lessons/90-small/test_mine.py::test_mine"
    late = Facts(exception="Failed", message="Timeout (>36.0s) from pytest-timeout.")
    ended = [Collected(tests=(mine,)), *passed(mine, "failed", facts=late), Exited(status=1)]
    lab = FakeLab(Collected(tests=(mine,)), *passed(mine), Exited(status=0), later=ended)
    found = judging.judge(lab, lesson, lesson.steps[0], GOOD.encode(), runs=1)
    assert (found.passes, found.catches) == (True, False)
    assert "Timeout" in found.why_not


def test_a_test_must_notice_that_nothing_is_reported(course, monkeypatch):
    nothing = MUTANTS.split("\n\n")[0].replace("off-by-one", "nothing-reported").replace("return 22", "return None")
    lesson = lesson_of(course, nothing.replace("counts one too few", "reports nothing"))

    def run(lab, request):
        """A test that asserts nothing about None."""
        wrong = b"return 22" in request.files[lesson.folder("solutions") / "loader.py"]
        kind, exception = ("red", "AssertionError") if wrong else ("done", "")
        return outcome.Results(tests={"a": outcome.TestResult("a", None, Verdict(kind), exception)})

    monkeypatch.setattr(outcome, "run", run)
    found = judging.judge(FakeLab(), lesson, lesson.steps[0], b"")
    assert (found.passes, found.catches) == (True, False)
    assert found.why_not == "it lets a wrong answer pass: reports nothing"


def test_an_unreadable_test_is_no_broken_one(course):
    mutant = Mutant("m", (), "counts one too few", "test_act")
    results = outcome.Results(tests={"a": outcome.TestResult("a", None)}, unreadable="ImportError: act")
    assert judging._why_not(results, mutant) == "on a wrong answer it cannot be read: ImportError: act"


@pytest.mark.parametrize(("reached", "told"), [(2, ["  missed: far", "1 for later steps"]), (9, ["far", "farther"])])
def test_wrong_answers_of_later_steps_are_counted_not_listed(course, reached, told):
    course.write("test_small.py", "import pytest\n@pytest.mark.step(4)\n@pytest.mark.x\ndef test_late(): pass\n")
    lesson = catalog.load(course.root / "lessons/90-small")
    missed = tuple(
        Mutant("m", (), words, killed_by) for words, killed_by in [("far", "test_no_step"), ("farther", "test_late")]
    )
    console = Console(file=io.StringIO(), width=100)
    judging.show(lesson, lesson.steps[0], judging.Judgement(True, True, "", (), missed), console, reached)
    lines = [line for line in console.file.getvalue().splitlines() if "missed:" in line]
    assert all(part in line for part, line in zip(told, lines, strict=True))


def test_the_line_that_fails_on_the_reference_is_named_once(course):
    failed = outcome.TestResult("test_mine.py::test_mine", None, Verdict("red", "lessons/x/test_mine.py:7", "1 == 2"))
    found = judging._fails(outcome.Results(tests={"a": failed, "b": failed}))
    said = "on the reference solution, your test fails: 1 == 2\nlessons/x/test_mine.py:7: 1 == 2"
    assert (found.place, found.why_not) == ("lessons/x/test_mine.py:7", said)


def test_a_lesson_without_an_own_test_is_wrong_usage(course):
    seen = workbook("judge", "90", cwd=course.root)
    assert seen.returncode == 2
    assert "has no test of your own" in seen.stderr


def test_a_tree_that_does_not_exist_is_wrong_usage(judge):
    seen = judge(GOOD, "--tree", "nowhere")
    assert seen.returncode == 2
    assert "no tree 'nowhere'" in seen.stderr


@pytest.fixture
def judgements(monkeypatch):
    """Counts how often a test is really judged."""
    seen = []

    def counted(lab, lesson, step, mine, *, say):
        seen.append(mine)
        return judging.Judgement(True, mine != b"misses it", "")

    monkeypatch.setattr(judging, "judge", counted)
    return seen


def test_a_good_test_is_judged_once_for_each_content(course, judgements):
    (course.root / "solutions/90-small/loader.py").write_text("x = 1\n")
    lesson = catalog.load(course.root / "lessons/90-small")

    def ask(mine):
        return judging.once(None, lesson, lesson.steps[0], mine)

    ask(b"one")
    course.write("loader.py", "x = 'the learner is not judged here'\n")
    ask(b"one")
    assert judgements == [b"one"]
    ask(b"two")
    assert judgements == [b"one", b"two"]
    (course.root / "solutions/90-small/loader.py").write_text("x = 2\n")
    ask(b"two")
    assert judgements == [b"one", b"two", b"two"]
    lesson.mutants.parent.mkdir(parents=True)
    lesson.mutants.write_text("another")
    ask(b"two")
    assert len(judgements) == 4
    ask(b"misses it")
    ask(b"misses it")
    assert judgements[4:] == [b"misses it", b"misses it"]


def found_of(course, lab, mine=GOOD, **more):
    """The judgement of a test_mine.py by what a lab says."""
    lesson = lesson_of(course)
    return judging.judge(lab, lesson, lesson.steps[0], mine.encode(), **more)


MINE = "lessons/90-small/test_mine.py::test_mine"
NO = Facts(exception="AssertionError", message="assert 22 == 23")


def says(*facts, outcome="passed"):
    """A lab in which test_mine runs once."""
    return [Collected(tests=(MINE,)), *passed(MINE, outcome, facts=facts[0] if facts else Facts()), Exited(status=0)]


def test_a_test_that_asserted_nothing_is_refused(course):
    found = found_of(course, FakeLab(*says(Facts(asserted=()))))
    assert (found.passes, found.catches) == (True, False)
    assert found.why_not.startswith("test_mine asserted nothing on the reference solution")
    assert found.place == "lessons/90-small/test_mine.py:1"


def test_an_assertion_that_never_ran_on_the_reference_is_named(course):
    mine = "def test_mine(loader):\n    assert loader.act()\n    for one in []:\n        assert one\n"
    lab = FakeLab(*says(Facts(asserted=(2,))), later=says(NO, outcome="failed"))
    found = found_of(course, lab, mine, runs=1)
    assert (found.catches, found.never_ran) == (True, (4,))


def test_a_test_that_asserts_on_the_reference_may_be_good(course):
    lab = FakeLab(*says(Facts(asserted=(2,))), later=says(NO, outcome="failed"))
    found = found_of(course, lab, runs=1)
    assert (found.passes, found.catches, found.never_ran) == (True, True, ())


def test_a_failure_on_the_reference_says_on_which_program_it_ran(course):
    found = found_of(course, FakeLab(*says(NO, outcome="failed")))
    assert found.why_not == "on the reference solution, your test fails: assert 22 == 23"


def test_a_break_on_a_wrong_answer_is_shown_where_and_why(course):
    at = (Frame(path=str(course.root / "lessons/90-small/test_mine.py"), line=2),)
    broken = says(Facts(exception="KeyError", message="5", frames=at), outcome="failed")
    found = found_of(course, FakeLab(*says(Facts(asserted=(2,))), later=broken), runs=1)
    assert found.place == "lessons/90-small/test_mine.py:2"
    assert found.why_not.splitlines() == [
        "on a wrong answer it raises an error instead of failing its assertion: KeyError: 5",
        "the wrong answer: counts one too few",
        judging.ABSENT,
    ]


def test_progress_counts_wrong_answers_and_names_none(course, monkeypatch):
    monkeypatch.setattr(judging, "SharedLab", contextlib.nullcontext)
    said = []
    lab = FakeLab(*says(Facts(asserted=(2,))), later=says(NO, outcome="failed"))
    found_of(course, lab, runs=1, score=True, say=said.append)
    assert [text.split(",")[0].split(";")[0] for text in said] == [
        "your test on the reference solution (run 1 of 1)",
        "your test on wrong answer 1 of 2",
        "your test on wrong answer 2 of 2",
    ]


@pytest.mark.parametrize(
    ("wrong", "catches", "words"),
    [
        (says(NO, outcome="failed"), True, "it catches the wrong answer of its step"),
        (says(Facts(asserted=(2,))), False, "it is not good enough yet"),
    ],
    ids=["caught", "missed"],
)
def test_what_decides_is_known_before_the_score(course, monkeypatch, wrong, catches, words):
    monkeypatch.setattr(judging, "SharedLab", contextlib.nullcontext)
    heard, said = [], []
    lab = FakeLab(*says(Facts(asserted=(2,))), later=wrong)
    found = found_of(course, lab, runs=1, score=True, say=said.append, hear=heard.append)
    assert [(one.catches, one.left) for one in heard] == [(catches, 1), (catches, 0)]
    assert found == heard[-1]
    assert said[-1].endswith(f"; {words}")
    assert judging.early(heard[0]).startswith(f"your test: {words}")
    assert judging.early(heard[0]).endswith("1 more wrong answer only counts; Ctrl-C stops here")
    assert judging.early(found) == ""


@pytest.mark.parametrize(
    ("known", "words"),
    [([judging.Judgement(True, True, "", left=7)], "score 0/0 wrong answers caught, 7 not tried"), ([], "")],
    ids=["decided", "nothing known"],
)
def test_ctrl_c_shows_what_is_known(course, monkeypatch, known, words):
    course.write("test_mine.py", GOOD)
    lesson = lesson_of(course)

    def judge(*_, hear, **__):
        for one in known:
            hear(one)
        raise KeyboardInterrupt

    monkeypatch.setattr(learn, "opened", lambda _: contextlib.closing(FakeLab()).thing)
    monkeypatch.setattr(learn, "pick", lambda _: lesson)
    monkeypatch.setattr(judging, "judge", judge)
    seen = CliRunner().invoke(learn.app, ["judge", "90"])
    assert seen.exit_code == 130, seen.output
    assert words in seen.stdout
    assert ("more wrong answers only count" in seen.stderr) == bool(known)


@pytest.mark.parametrize(
    ("done", "left", "seconds", "text"),
    [(0, 5, 0, ""), (2, 3, 20, ", about 30 s left"), (1, 9, 40, ", about 6 min left"), (3, 0, 9, "")],
)
def test_a_wait_says_how_long_it_takes(done, left, seconds, text):
    assert judging.wait(done, left, seconds) == text


def test_a_test_that_asserted_nothing_has_no_tick(course):
    lesson = small(course)
    console = Console(file=io.StringIO(), width=100)
    judging.show(lesson, lesson.steps[0], judging.Judgement(True, False, "why", asserts=False), console, 2)
    assert [line.split()[0] for line in console.file.getvalue().splitlines()[1:3]] == ["✘", "why"]


def test_json_names_no_wrong_answer_of_a_later_step(course):
    course.write("test_small.py", "import pytest\n@pytest.mark.step(4)\ndef test_late(): pass\n")
    lesson = small(course)
    far = Mutant("m", (), "far", "test_no_step")
    found = judging.Judgement(True, True, "", (), (far, Mutant("n", (), "farther", "test_late")))
    (step,) = judging.as_data(lesson, [lesson.steps[0]], [found], 2)
    assert (step["missed"], step["missed_later"]) == ({"m": "far"}, 1)


TWO_STEPS = """\
title = "Small"
topic = "small"
teaches = []
needs = []
[[step]]
title = "act"
[[step]]
title = "your own test: the number"
"""
TWO_HINTS = '[[step]]\nhints = ["a", "b", "c"]\n' + HINTS
SPECIFICATION = """\
import pytest

@pytest.mark.step(1)
def test_act(loader):
    assert loader.act() == 23
"""


@pytest.mark.parametrize(
    ("mine", "kinds"),
    [
        (GOOD, ["done", "done"]),
        ("def test_mine(loader):\n    assert loader.act() > 20\n", ["done", "red"]),
        (None, ["done", "red"]),
    ],
    ids=["good", "weak", "gone"],
)
@pytest.mark.parametrize("tree", ["lessons", "solutions"])
def test_a_check_judges_the_own_test_after_the_specification(course, mine, kinds, tree):
    """The whole check of a lesson that has an own test, by the agent that a guest runs."""
    lesson_of(course)
    course.write("lesson.toml", TWO_STEPS)
    course.write_hints(TWO_HINTS)
    course.write("test_small.py", SPECIFICATION)
    course.write("loader.py", LOADER)
    if mine is not None:
        course.write("test_mine.py", mine)
        (course.root / "solutions/90-small/test_mine.py").write_text(mine)
    view = verify.verify(AgentLab(), small(course), tree, lambda _: None, 23)
    found = [result.verdict.kind for result in view.steps]
    assert found == kinds, view.steps
    assert view.exit_code == (0 if found == ["done", "done"] else 1)


@pytest.mark.parametrize("lesson", list(catalog.Course.load(ROOT)), ids=lambda one: one.name)
def test_a_check_of_each_lesson_has_its_own_test_at_hand(lesson):
    for tree in ("lessons", "solutions"):
        asked = verify.specification(lesson, tree, 23)
        if any(step.mutant for step in lesson.steps):
            assert asked.code / judging.LEARNERS_TEST in asked.files
        assert set(asked.holes) == ({step.number for step in lesson.steps} if tree == "lessons" else set())


@pytest.mark.guest
def test_the_reference_of_a_lesson_with_an_own_test_is_done():
    seen = workbook("verify", "02", "--tree", "solutions", "--json", cwd=ROOT)
    steps = json.loads(seen.stdout)["steps"]
    assert [one["kind"] for one in steps] == ["done"] * 5, steps
    assert seen.returncode == 0
