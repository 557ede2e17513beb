"""A Ctrl-C leaves nothing over; and the tool that looks for leftovers sees each kind of them."""

import sys
from pathlib import Path

import pytest

from harness.measure import interrupts

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def once(tmp_path, monkeypatch):
    """Interrupt a Python program once, when it has printed that it is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def interrupt(program, up=b""):
        script = tmp_path / "program.py"
        script.write_text(program)
        command = interrupts.Command((sys.executable, str(script)), frozenset({7}), up)
        (done,) = interrupts.interrupt([command], tmp_path, 1, 12, seed=1, say=lambda one: None)
        return done

    monkeypatch.setattr(interrupts, "END_DEADLINE_S", 5)
    monkeypatch.setattr(interrupts, "GONE_DEADLINE_S", 0.5)
    return interrupt


WAIT = "import signal, sys, time\ntry:\n    time.sleep(99)\nexcept KeyboardInterrupt:\n    sys.exit(130)\n"


def test_a_program_that_ends_quietly_has_no_fault(once):
    assert once(WAIT).faults == ()
    assert once("raise SystemExit(7)").faults == ()


def test_a_traceback_of_a_program_that_was_starting_is_not_ours(once):
    program = "import time\ndef start():\n    time.sleep(99)\ndef work():\n    time.sleep(99)\n"
    assert once(program + "start()\n", up=b"in work\r\n").faults == ()
    assert once(program + "work()\n", up=b"in work\r\n").faults == ("printed a traceback",)
    painted = "print('Traceback (most recent call last):\\n in \\x1b[35mwork\\x1b[0m', flush=True)\n"  # by Python 3.13
    assert once(painted + WAIT, up=b"in work\r\n").faults == ("printed a traceback",)


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("import time\ntime.sleep(99)\n", "printed a traceback"),
        ("raise SystemExit(3)\n", "ended with 3"),
        ("import signal, time\nsignal.signal(2, signal.SIG_IGN)\ntime.sleep(99)\n", "did not end within 5 s"),
        (
            "import subprocess\nsubprocess.Popen(['sleep', '8'], start_new_session=True)\n" + WAIT,
            "left running: sleep 8",
        ),
        ("import tempfile\ntempfile.mkstemp(prefix='mine-')\n" + WAIT, "left behind: "),
        (
            "from pathlib import Path\nPath('lessons').mkdir()\nPath('lessons/.loader.py-x').touch()\n" + WAIT,
            "left behind: ",
        ),
        ("import tty\ntty.setraw(0)\nraise SystemExit(7)\n", "left the terminal in other modes"),
        ("print('\\x1b[?25l', flush=True)\n" + WAIT, "left the cursor hidden"),
    ],
    ids=["traceback", "exit", "deaf", "process", "temporary file", "half a file", "terminal", "cursor"],
)
def test_each_kind_of_leftover_is_seen(once, program, fault):
    done = once(program)
    assert [found[: len(fault)] for found in done.faults] == [fault], (done.faults, done.screen)


@pytest.mark.guest
def test_ctrl_c_leaves_nothing_over():
    chosen = interrupts.commands(Path(sys.executable).parent)
    rounds = interrupts.interrupt(chosen, ROOT, 7, longest_s=6, seed=23, say=print)
    assert [(one.command, one.delay_s, one.faults, one.screen) for one in rounds if one.faults] == []
