"""What a guest says of a run is held against what was asked: a test is done only where all its phases are seen to pass.

Each guest here is a few bytes; see labs.FakeLab.
"""

import time

import pytest
from labs import AgentLab, FakeLab, passed, said, small, whole

from harness.errors import GuestLost, HarnessFault, LabError
from harness.lab.guest import Deadlines
from harness.learner import verify
from harness.protocol.facts import Facts, Frame, Gathered
from harness.protocol.frames import Kind, encode
from harness.protocol.messages import (
    Collected,
    Collecting,
    Compiling,
    Exited,
    Finished,
    InternalError,
    Interrupted,
    Precompiled,
    Reported,
    Started,
    Uncollectable,
    Warned,
)  # fmt: skip
from harness.run import outcome
from harness.run.request import of_lesson

SPEC = """\
import pytest

@pytest.mark.step(1)
def test_one(loader):
    assert loader.act() == 23

@pytest.mark.step(2)
def test_two(loader):
    assert loader.act() == 23
"""
FILE = "lessons/90-small/test_small.py"
ONE, TWO = f"{FILE}::test_one", f"{FILE}::test_two"
EXIT = Exited(status=0)


@pytest.fixture
def lesson(course):
    course.write("test_small.py", SPEC)
    course.write("loader.py", "def act(): return 23\n")
    return small(course)


def run(lesson, *messages, **more):
    lab = FakeLab(*messages, **more)
    return outcome.run(lab, of_lesson(lesson, "lessons", tests=(lesson.tests,)))


def kinds(results):
    return {test.name: test.verdict.kind for test in results.tests.values()}


def report(nodeid=ONE, when="call", result="passed", **more):
    return Reported(nodeid=nodeid, when=when, outcome=result, duration=0.1, **more)


def test_a_run_that_passed_is_green(lesson):
    results = run(lesson, *whole(of_lesson(lesson, "lessons", tests=(lesson.tests,))))
    assert results.green
    assert [one.verdict.kind for one in outcome.by_step(lesson, results)] == ["done", "done"]


def test_what_is_being_done_is_said_as_it_comes(lesson):
    said, asked = [], of_lesson(lesson, "lessons", tests=(lesson.tests,))
    begin, *rest = passed(ONE)
    messages = [Collected(tests=(ONE, TWO)), Precompiled(seconds=1.0), begin, Compiling(), *rest, *passed(TWO), EXIT]
    assert outcome.run(FakeLab(*messages), asked, said.append).green
    assert said == ["restored, 2 tests", "test 1 of 2: test_one", "test 1 of 2: compiling", "test 2 of 2: test_two"]


def test_a_test_that_was_not_collected_has_not_run(lesson):
    results = run(lesson, Collected(tests=(ONE,)), *passed(ONE), EXIT)
    assert kinds(results) == {"test_one": "done", "test_two": "not run"}
    assert not results.green
    assert [one.verdict.kind for one in outcome.by_step(lesson, results)] == ["done", "not run"]


def test_a_run_without_tests_has_no_step_done(lesson):
    results = run(lesson, Collected(tests=()), EXIT)
    assert not results.green
    assert [one.verdict.kind for one in outcome.by_step(lesson, results)] == ["not run", "not run"]
    assert verify.View(lesson, outcome.by_step(lesson, results)).exit_code == 1


def test_a_specification_that_lost_its_tests_is_not_done(course, lesson):
    course.write("test_small.py", "# gone\n")
    results = run(lesson, Collected(tests=()), EXIT)
    assert not results.green
    assert verify.View(lesson, outcome.by_step(lesson, results)).exit_code == 1


SETUP, TEARDOWN = report(when="setup"), report(when="teardown")
BEGUN = [Collected(tests=(ONE, TWO)), Started(nodeid=ONE)]
THE_SECOND = [Collected(tests=(TWO,)), *passed(TWO), EXIT]


@pytest.mark.parametrize(
    "messages",
    [
        [Collected(tests=(ONE, ONE))],
        [Collected(tests=(ONE,)), Collected(tests=(ONE,))],
        [Collected(tests=("x",))],
        [Collected(tests=(f"{FILE}::test_three",))],
        [Collected(tests=tuple(f"{ONE}[{number}]" for number in range(1001)))],
        [Started(nodeid=ONE)],
        [Collecting(file="/etc/passwd")],
        [Collecting(file=FILE), Collecting(file=FILE)],
        [Uncollectable(file=FILE, text="never begun")],
        [Collected(tests=(ONE, TWO)), Started(nodeid=TWO)],
        [Collected(tests=(ONE, TWO)), Started(nodeid="x")],
        [*BEGUN, Finished(nodeid=ONE)],
        [*BEGUN, report(), Finished(nodeid=ONE)],
        [*BEGUN, SETUP, SETUP],
        [*BEGUN, SETUP, Finished(nodeid=ONE)],
        [*BEGUN, SETUP, report(), Finished(nodeid=ONE)],
        [*BEGUN, SETUP, TEARDOWN],
        [*BEGUN, report(when="setup", result="failed"), report()],
        [*BEGUN, SETUP, report(result="failed"), report()],
        [*BEGUN, SETUP, report(), TEARDOWN, report()],
        [*BEGUN, SETUP, report(TWO)],
        [*BEGUN, SETUP, report(), TEARDOWN, Finished(nodeid=TWO)],
        [*BEGUN, SETUP, report(), TEARDOWN, Finished(nodeid=ONE), Finished(nodeid=ONE)],
        [*BEGUN, SETUP, report(), TEARDOWN, Finished(nodeid=ONE), Started(nodeid=ONE)],
        [*BEGUN, SETUP, report(), TEARDOWN, Finished(nodeid=ONE), report()],
        [*BEGUN, Started(nodeid=TWO)],
        [Precompiled(seconds=1.0)],
        [Compiling()],
        [Collected(tests=(ONE, TWO)), Compiling()],
        [*BEGUN, Precompiled(seconds=1.0)],
        [*BEGUN, SETUP, report(), TEARDOWN, Finished(nodeid=ONE), Precompiled(seconds=1.0)],
        [encode(Kind.EVENT, b"{")],
        [encode(Kind.EVENT, b'{"is":"Started","nodeid":["a"]}')],
        [EXIT],
        [],
    ],
    ids=lambda messages: " ".join(type(one).__name__ for one in messages) or "nothing",
)
def test_what_cannot_be_is_never_green(lesson, messages):
    try:
        results = run(lesson, *messages)
    except GuestLost:
        return
    assert "lab" in kinds(results).values()
    assert verify.View(lesson, outcome.by_step(lesson, results)).exit_code == 3


@pytest.mark.parametrize("mark", ["", "@pytest.mark.step(23)\n"])
def test_a_test_of_no_step_must_pass_too(course, lesson, mark):
    course.write("test_small.py", f"{SPEC}\n{mark}def test_three(): pass\n")
    three = f"{FILE}::test_three"
    failed = passed(three, "failed", text="no", facts=Facts(exception="AssertionError", message="assert 1 == 2"))
    results = run(lesson, Collected(tests=(ONE, TWO, three)), *passed(ONE), *passed(TWO), *failed, EXIT)
    assert verify.View(lesson, outcome.by_step(lesson, results)).exit_code == 1


def test_a_timeout_is_no_assertion_of_the_tests_own(lesson):
    late = Facts(exception="Failed", message="Timeout (>36.0s) from pytest-timeout.")
    results = run(lesson, Collected(tests=(ONE, TWO)), *passed(ONE, "failed", facts=late), *passed(TWO), EXIT)
    assert kinds(results)["test_one"] == "red"
    assert results.tests[ONE].timed_out


def test_a_skip_is_not_done(lesson):
    skipped = passed(ONE, "skipped", text="Skipped: no", facts=Facts(exception="Skipped", message="no"))
    results = run(lesson, Collected(tests=(ONE, TWO)), *skipped, *passed(TWO), EXIT)
    assert kinds(results) == {"test_one": "skipped", "test_two": "done"}
    assert not results.green


def test_each_case_of_a_function_must_pass(lesson):
    first, second = f"{ONE}[1]", f"{ONE}[2]"
    failed = passed(second, "failed", text="no", facts=Facts(exception="AssertionError", message="assert 1 == 2"))
    results = run(lesson, Collected(tests=(first, second, TWO)), *passed(first), *failed, *passed(TWO), EXIT)
    assert kinds(results) == {"test_one[1]": "done", "test_one[2]": "red", "test_two": "done"}
    assert outcome.by_step(lesson, results)[0].passed == 1


def test_a_failing_teardown_is_not_done(lesson):
    left = Facts(exception="Failed", message="left in the kernel: a kprobe")
    messages = [Started(nodeid=ONE), SETUP, report(), report(when="teardown", result="failed", facts=left)]
    results = run(lesson, Collected(tests=(ONE, TWO)), *messages, Finished(nodeid=ONE), *passed(TWO), EXIT)
    assert kinds(results) == {"test_one": "red", "test_two": "done"}


def test_a_fault_of_the_harness_in_the_guest_is_its_own(lesson):
    trace = 'Traceback (most recent call last):\n  File "plugin.py"\nKeyError: "x"\n'
    with pytest.raises(HarnessFault, match="KeyError") as fault:
        run(lesson, *BEGUN, InternalError(text=trace), EXIT)
    assert fault.value.exit_code == 3


def test_a_death_costs_one_test_and_the_rest_goes_on(lesson):
    results = run(lesson, *BEGUN, SETUP, Exited(status=-11), later=THE_SECOND)
    assert kinds(results) == {"test_one": "red", "test_two": "done"}
    assert "SIGSEGV" in results.tests[ONE].verdict.text


def test_an_unknown_signal_has_words_too(lesson):
    assert "signal 60" in run(lesson, *BEGUN, SETUP, Exited(status=-60), later=THE_SECOND).tests[ONE].verdict.text


def test_an_interrupt_is_the_codes(lesson):
    results = run(lesson, *BEGUN, SETUP, Interrupted(reason="KeyboardInterrupt"), Exited(status=2), later=THE_SECOND)
    assert "KeyboardInterrupt" in results.tests[ONE].verdict.text


def test_a_warning_of_the_guests_arrives(lesson):
    warned = Warned(category="DeprecationWarning", text="old", file="loader.py", line=3, when="runtest", nodeid=ONE)
    results = run(lesson, Collected(tests=(ONE, TWO)), warned, *passed(ONE), *passed(TWO), EXIT)
    assert results.warnings == [warned]


ENDLESS = {
    "an event that moves nothing": said(Interrupted(reason="x")),
    "output": encode(Kind.STDOUT, b"x" * 60_000),
    "empty frames": encode(Kind.STDOUT, b"") * 1000,
}


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
def test_a_guest_that_never_stops_is_lost(lesson, monkeypatch, endless):
    monkeypatch.setattr("harness.run.session.STOP_GRACE_S", 0.2)
    begin = time.monotonic()
    with pytest.raises(GuestLost):
        run(lesson, *BEGUN, SETUP, endless=endless, given_s=-14)
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    "messages",
    [[Collecting(file="no.py"), EXIT], [Collected(tests=(ONE, TWO)), EXIT], [Collecting(file=FILE), EXIT]],
)
def test_guests_without_progress_are_few(lesson, messages):
    lab = FakeLab(*messages)
    try:
        results = outcome.run(lab, of_lesson(lesson, "lessons", tests=(lesson.tests,)))
        assert not results.green
    except LabError:
        pass
    assert lab.opened == 1


def test_a_guest_that_repeats_one_test_is_not_asked_for_ever(lesson):
    """Each guest runs the first test alone and ends."""
    lab = FakeLab(Collected(tests=(ONE, TWO)), *passed(ONE), EXIT)
    with pytest.raises(GuestLost):
        outcome.run(lab, of_lesson(lesson, "lessons", tests=(lesson.tests,)))
    assert lab.opened == 2


ELSEWHERE = Facts(
    exception="Exception",
    message="Failed to load BPF program b'x': Permission denied",
    frames=(Frame(path="/etc/hostname", line=1),),
    gathered=Gathered(
        file="/etc/x.py", status=1, stage="attach", message="Failed to attach", exception="Exception",
        frames=(Frame(path="/etc/hostname", line=1),), path="/etc/hostname",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [
        ELSEWHERE,
        Facts(exception="AssertionError", message="no", frames=(Frame(path="/etc/hostname", line=1),)),
        Facts(exception="NotImplementedError", message="TODO 1: x", frames=(Frame(path="/etc/loader.py", line=1),)),
    ],
    ids=["refused", "red", "todo"],
)
def test_a_place_that_was_not_sent_is_not_shown(lesson, facts):
    failed = passed(ONE, "failed", text="no", facts=facts)
    results = run(lesson, Collected(tests=(ONE, TWO)), *failed, *passed(TWO), EXIT)
    shown = f"{results.tests[ONE].verdict}"
    assert results.tests[ONE].verdict.place == ""
    assert "/etc/" not in shown


def test_a_verdict_reads_what_ran_and_not_the_disk(course):
    """The stub ran; while it did, the learner saved something else, and then removed it."""
    course.write("test_small.py", SPEC)
    course.write("loader.py", "def act():\n    return 22\n")
    lesson = small(course)
    (lesson.folder("solutions") / "loader.py").write_text(
        "def act():\n    # TODO 1: x\n    return 23\n    # end of TODO 1\n"
    )
    course.write("loader.py", 'def act():\n    raise NotImplementedError("TODO 1: x")\n')
    asked = of_lesson(lesson, "lessons", tests=(lesson.tests,))
    (lesson.folder() / "loader.py").unlink()
    (lesson.folder("solutions") / "loader.py").unlink()
    facts = Facts(exception="AssertionError", message="assert None == 23")
    lab = FakeLab(Collected(tests=(ONE, TWO)), *passed(ONE, "failed", facts=facts), *passed(TWO), EXIT)
    verdict = outcome.run(lab, asked).tests[ONE].verdict
    assert (verdict.kind, verdict.place) == ("todo", "lessons/90-small/loader.py:2")


BREAK_FACTS = """
import harness.guest.testing.plugin as plugin
def broken(excinfo):
    raise KeyError("a fault of ours")
plugin._of_exception = broken
"""
BREAK_SETUP = """
from harness.guest.testing import no_events
def broken(pid):
    raise KeyError("a fault of ours")
no_events.objects.runs = broken
"""
BREAK_CONFIGURATION = """
from harness.guest.testing.reporting import Reporter
def broken(self):
    raise KeyError("a fault of ours")
Reporter.pytest_load_initial_conftests = broken
"""


@pytest.mark.parametrize(
    "fault", [BREAK_FACTS, BREAK_SETUP, BREAK_CONFIGURATION], ids=["facts", "setup", "configuration"]
)
def test_a_broken_hook_of_ours_is_never_the_learners_fault(lesson, fault):
    with pytest.raises(HarnessFault, match="a fault of ours") as failed:
        outcome.run(AgentLab(before=fault), of_lesson(lesson, "lessons", tests=(lesson.tests,)))
    assert "Traceback" in failed.value.traceback


def test_a_request_that_the_agent_does_not_know_is_answered(lesson):
    with AgentLab().open() as guest:
        guest.channel._send(encode(Kind.MESSAGE, b'{"is":"Dance"}'))
        with pytest.raises(HarnessFault, match="Dance"):
            guest.channel.expect(Exited, 10)
        assert guest.run(["echo", "still there"]).out == "still there\n"


NOISY = """\
def act():
    for _ in range({lines}):
        print("x" * 999)
    return 23
"""


@pytest.mark.parametrize("lines", [200, 10_000], ids=["200 kB", "10 MB"])
def test_a_test_that_prints_much_is_green(course, lesson, lines):
    course.write("loader.py", NOISY.format(lines=lines))
    asked = of_lesson(lesson, "lessons", tests=(lesson.tests,))
    results = outcome.run(AgentLab(deadlines=Deadlines(3.0)), asked)
    assert kinds(results) == {"test_one": "done", "test_two": "done"}


CONFTEST = """\
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome, report.longrepr = "passed", None
    return report
"""


def test_a_conftest_of_the_folder_changes_nothing(course, lesson):
    course.write("loader.py", "def act(): return 22\n")
    course.write("conftest.py", CONFTEST)
    asked = of_lesson(lesson, "lessons", tests=(lesson.tests,))
    assert "conftest.py" not in {path.name for path in asked.files}
    forced = asked.files | {lesson.folder() / "conftest.py": CONFTEST.encode()}
    for files in (asked.files, forced):
        results = outcome.run(AgentLab(), of_lesson(lesson, "lessons", tests=(lesson.tests,), replaced=files))
        assert kinds(results) == {"test_one": "red", "test_two": "blocked"}


def test_a_text_that_cannot_be_made_is_the_codes_fault(course, lesson):
    """An exception whose own __str__ raises breaks no hook of ours."""
    course.write("loader.py", "class Odd(Exception):\n    def __str__(self): raise ValueError\ndef act(): raise Odd\n")
    results = outcome.run(AgentLab(), of_lesson(lesson, "lessons", tests=(lesson.tests,)))
    assert kinds(results) == {"test_one": "red", "test_two": "blocked"}


WARNS = """\
import warnings
def act():
    warnings.warn_explicit("BCC's own", DeprecationWarning, "/usr/lib/python3/dist-packages/bcc/__init__.py", 427)
    warnings.warn("the learner's")
    return 23
"""


def test_a_warning_is_of_the_learners_files_alone(course, lesson):
    """BCC warns of a src_file that is a string, pytest of its own plug-ins: a learner can change neither."""
    course.write("loader.py", WARNS)
    results = outcome.run(AgentLab(), of_lesson(lesson, "lessons", tests=(lesson.tests,)))
    assert {warned.text for warned in results.warnings} == {"the learner's"}
