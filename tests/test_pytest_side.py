"""pytest stays pytest: its options, node ids and exit codes mean for lessons what they mean everywhere."""

import json
import os
import time

import pytest

pytestmark = pytest.mark.guest
FOLDER = "lessons/90-small"
NODE = f"{FOLDER}/test_small.py"
TESTS = """\
import pytest

@pytest.mark.step(1)
def test_one(loader):
    print("one speaks")
    assert loader.one() == 23

@pytest.mark.step(1)
@pytest.mark.parametrize("name", ["ant", "bee"])
def test_each(name):
    assert name in ("ant", "bee")

@pytest.mark.step(2)
def test_two(loader):
    assert loader.two() == 23

def test_three(request):
    import pytest as there
    print("guest has pytest", there.__version__)
"""
AGAIN = "\n@pytest.mark.step(1)\ndef test_again(loader):\n    assert loader.one() == 23\n"
RIGHT = "def one(): return 23\ndef two(): return 23\n"
WRONG = "def one(): return 22\ndef two(): return 23\n"


@pytest.fixture
def lesson(course):
    """A small lesson with a right loader."""
    course.write("test_small.py", TESTS)
    course.write("loader.py", RIGHT)
    return course


def test_all_green_is_zero(lesson):
    seen = lesson.pytest(FOLDER)
    assert (seen.code, seen.failures) == (0, dict.fromkeys(seen.failures, ""))
    assert list(seen.failures) == ["test_one", "test_each[ant]", "test_each[bee]", "test_two", "test_three"]


def test_a_red_one_is_one_and_later_steps_are_blocked(lesson):
    lesson.write("loader.py", WRONG)
    seen = lesson.pytest(FOLDER)
    assert seen.code == 1
    assert "assert 22 == 23" in seen.failures["test_one"]
    assert seen.skipped == {"test_two": "blocked by step 1"}


def test_an_untouched_todo_fails_one_test_a_wrong_answer_all(lesson):
    reference = RIGHT.replace(
        "def one(): return 23", "def one():\n    # TODO 1: count\n    return 23\n    # end of TODO 1"
    )
    (lesson.root / "solutions/90-small/loader.py").write_text(reference)
    todo = '    raise NotImplementedError("TODO 1: count")\n'
    for text, failed in [(todo, ["test_one"]), ("    return 22\n", ["test_one", "test_again"])]:
        lesson.write("loader.py", "def one():\n" + text + "def two(): return 23\n")
        lesson.write("test_small.py", TESTS + AGAIN)
        seen = lesson.pytest(FOLDER)
        assert [name for name, why in seen.failures.items() if why] == failed


def test_selection_by_keyword_and_by_node_id(lesson):
    assert list(lesson.pytest(FOLDER, "-k", "two").failures) == ["test_two"]
    assert list(lesson.pytest(f"{NODE}::test_each[bee]").failures) == ["test_each[bee]"]
    nothing = lesson.pytest(FOLDER, "-k", "nobody")
    assert nothing.code == 5


def test_x_stops_at_the_first_and_lf_returns_to_it(lesson):
    lesson.write("loader.py", WRONG)
    first = lesson.pytest(FOLDER, "-x")
    assert (first.code, list(first.failures)) == (1, ["test_one"])
    lesson.write("loader.py", RIGHT)
    again = lesson.pytest(FOLDER, "--lf")
    assert (again.code, list(again.failures)) == (0, ["test_one"])


def test_s_shows_output_and_without_it_a_failure_carries_it(lesson):
    assert "one speaks" in lesson.pytest(FOLDER, "-s").screen
    assert "one speaks" not in lesson.pytest(FOLDER).screen
    lesson.write("loader.py", WRONG)
    seen = lesson.pytest(FOLDER)
    assert "one speaks" in seen.screen.split("Captured stdout call")[1]


def test_verbose_quiet_and_durations(lesson):
    verbose = lesson.pytest(FOLDER, "-v", "--durations=0", "--durations-min=0")
    assert f"{NODE}::test_each[ant] PASSED" in verbose.screen
    assert f"call     {NODE}::test_one" in verbose.screen
    assert lesson.pytest(FOLDER, "-q").screen.splitlines()[0].startswith(".....")


def test_both_ends_run_the_same_pytest(lesson):
    assert f"guest has pytest {pytest.__version__}" in lesson.pytest(FOLDER, "-s").screen


def test_collecting_starts_no_guest_and_imports_nothing(lesson):
    lesson.write("test_small.py", TESTS + "\nopen('was-here', 'w')\nraise SystemExit\n")
    lesson.write("loader.py", "open('was-here', 'w')")
    seen = lesson.pytest(FOLDER, "--collect-only", "-q", PATH="/nonexistent")
    assert f"{NODE}::test_each[bee]" in seen.screen
    assert seen.code == 0
    assert not (lesson.root / "was-here").exists()


def test_pdb_is_refused_with_what_to_use_instead(lesson):
    seen = lesson.pytest(FOLDER, "--pdb")
    assert seen.code == 4
    assert "workbook shell 90" in seen.screen


def test_without_a_lab_nothing_is_said_about_the_code(lesson):
    seen = lesson.pytest(FOLDER, PATH="/nonexistent")
    assert seen.code == 3
    assert "qemu-system-x86_64 is not installed" in seen.screen
    assert "make setup" in seen.screen


def test_a_loader_whose_import_writes_a_file_leaves_nothing_here(lesson):
    mark = f"/tmp/workbook-mark-{os.getpid()}"
    lesson.write("loader.py", f"from pathlib import Path\nPath({mark!r}).write_text('x')\n" + RIGHT)
    lesson.write("test_small.py", TESTS + f"\ndef test_written():\n    assert open({mark!r}).read() == 'x'\n")
    before = sorted(path.name for path in (lesson.root / FOLDER).iterdir())
    assert lesson.pytest(FOLDER, "-p", "no:cacheprovider").code == 0
    assert not os.path.exists(mark)
    assert sorted(path.name for path in (lesson.root / FOLDER).iterdir()) == before


def test_a_seed_replays_the_random_names(lesson):
    lesson.write("test_small.py", "def test_random(rng):\n    print('drawn', rng.random())\n")

    def drawn(seed):
        return lesson.pytest(FOLDER, "-s", "--seed", seed).screen.split("drawn ")[1].split()[0]

    assert drawn("23") == drawn("23")
    assert drawn("23") != drawn("24")


def test_every_guest_has_the_right_clock_and_its_own_randomness(lesson):
    lesson.write(
        "test_small.py",
        "import json, os, time\n"
        "def test_facts():\n"
        "    uuid = open('/proc/sys/kernel/random/uuid').read()\n"
        "    print('FACTS', json.dumps([time.time(), os.urandom(8).hex(), uuid]))\n",
    )

    def facts():
        before = time.time()
        seen = lesson.pytest(FOLDER, "-s")
        clock, *random = json.loads(seen.screen.split("FACTS ")[1].splitlines()[0])
        assert before < clock < time.time()
        return random

    assert not set(facts()) & set(facts())
