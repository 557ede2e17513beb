"""How an explanation stands on the screen: the log cut and first, the explanation last, no word broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import explain as command
from harness.errors import UsageError
from harness.explain import show
from harness.explain.evidence import of_log
from harness.explain.explanation import Explanation, explain
from harness.learner import diagnosis

WORKBOOK = str(Path(sys.executable).with_name("workbook"))
LOGS = Path(__file__).resolve().parent / "explain" / "logs"


def printed(*arguments, given=None, folder=LOGS, **environment):
    """What `workbook explain` prints, and its exit status."""
    done = subprocess.run(
        [WORKBOOK, "explain", *arguments], cwd=folder, input=given, capture_output=True, env=os.environ | environment
    )
    return done.stdout.decode(), done.returncode


def test_the_explanation_is_last_and_the_log_is_cut():
    screen, code = printed("r01.log", LINES="24", COLUMNS="80")
    rows = screen.rstrip().splitlines()
    assert rows[-1].strip() == "read: docs/explain.md#null-check"
    assert "the whole log: r01.log" in rows
    assert rows.index("the whole log: r01.log") <= 12
    assert rows[rows.index("the whole log: r01.log") - 1] == "R9 invalid mem access 'map_value_or_null'"
    assert code == 1


def test_of_a_log_there_is_nothing_to_try():
    assert printed("--try", "r01.log") == printed("r01.log")


def test_no_row_of_the_log_is_wider_than_the_columns():
    screen, _ = printed("r01.log", LINES="24", COLUMNS="40")
    rows = screen.partition("the whole log: r01.log")[0].splitlines()
    assert max(map(len, rows)) <= 40
    assert any(row.endswith("…") for row in rows)


def test_a_log_from_standard_input_is_kept_in_a_file():
    text = (LOGS / "r01.log").read_bytes()
    screen, _ = printed("-", given=text)
    (row,) = (row for row in screen.splitlines() if row.startswith("the whole log: "))
    assert (LOGS / row.removeprefix("the whole log: ")).read_text().strip() == text.decode().strip()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_word_is_broken(width):
    body = show.body(explain(of_log((LOGS / "r01.log").read_text())))
    wrapped = show.wrapped(body, width)
    assert wrapped.split() == body.split()
    assert all(len(row) <= width or " " not in row.strip() or "|" in row or "^" in row for row in wrapped.splitlines())


def test_a_healthy_log_is_called_so():
    assert printed("k1.log") == ("k1.log: nothing is wrong in this log\n", 0)


def test_an_empty_log_is_called_empty():
    screen, code = printed("-", given=b"\n \n")
    assert "-  empty\n    The log is empty" in screen
    assert code == 1


def test_nothing_of_a_log_reaches_the_terminal_unescaped():
    screen, _ = printed(
        "-", given=b"0: (95) exit\nR0 \x1b]0;title\x07!read_ok \xe2\x80\xae\x9b31m\nprocessed 1 insns\n"
    )
    assert not set(screen) & {"\x1b", "\x07", "\u202e", "\x9b"}


MEASURE = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""From a small process: a child's greatest size counts what its parent held when it was forked."""
ROW = b"%d: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()\n"


def test_64_mib_are_explained_in_seconds_and_little_memory(tmp_path):
    path = tmp_path / "large.log"
    with path.open("wb") as log:
        log.writelines(ROW % number for number in range(1_100_000))
        log.write(b"1100000: (95) exit\nR0 !read_ok\nprocessed 1100001 insns\n")
    assert path.stat().st_size > 64 << 20
    done = subprocess.run([sys.executable, "-c", MEASURE, WORKBOOK, "explain", path], cwd=LOGS, capture_output=True)
    screen, _, figures = done.stdout.decode().rstrip().rpartition("\n")
    assert "uninitialised (load)" in screen
    used_s, most_kib = map(float, figures.split())
    print(f"{used_s:.1f} s of a CPU, {most_kib / 1024:.0f} MiB at most")
    assert used_s < 10
    assert most_kib < 200 << 10


def test_a_log_that_cannot_be_kept_is_printed_whole(tmp_path):
    (tmp_path / ".workbook").touch()
    assert command._kept("-", Explanation("load", log="0: (95) exit"), tmp_path) == ""


def test_a_kept_log_replaces_a_link_and_does_not_follow_it(tmp_path):
    kept = tmp_path / ".workbook/explain/input.log"
    kept.parent.mkdir(parents=True)
    (tmp_path / "mine").write_text("mine")
    kept.symlink_to(tmp_path / "mine")
    command._kept("-", Explanation("load", log="0: (95) exit"), tmp_path)
    assert (kept.read_text(), (tmp_path / "mine").read_text()) == ("0: (95) exit\n", "mine")


@pytest.mark.parametrize(("name", "words"), [("", "a folder; name a file in it"), ("no.py", "no such file")])
def test_a_name_that_is_no_file_is_refused_before_any_guest(tmp_path, name, words):
    with pytest.raises(UsageError, match=words):
        [*diagnosis.all_of([str(tmp_path / name)], lambda: pytest.fail("a guest"), 1)]
