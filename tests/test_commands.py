"""The `workbook` command as it is typed: what it prints, how it ends."""

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ADVANCED, TOML
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

from harness import cli
from harness.course import catalog
from harness.course.catalog import Course
from harness.guest.agent import starter
from harness.learner import progress
from harness.screen import stages, working

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = """\
def act() -> int:
    # TODO 1: return the number
    return 23
    # end of TODO 1
"""
WORKBOOK = [str(Path(sys.executable).with_name("workbook"))]


def workbook(*arguments, cwd=ROOT, given=None, **environment):
    """Run the command to its end."""
    return subprocess.run(
        [*WORKBOOK, *arguments],
        cwd=cwd, input=given, stdin=None if given else subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, env=os.environ | environment,
    )  # fmt: skip


def test_lessons_are_found_by_number_slug_and_topic():
    found = Course.load(ROOT)
    named = {found.pick(word).name for word in ("1", "01", "hello-kprobe", "kprobe", "01-hello-kprobe")}
    assert named == {"01-hello-kprobe"}


def test_the_list_is_json_where_a_program_reads_it():
    listed = {x["number"]: x for x in json.loads(workbook("list", "--json").stdout)}
    assert listed["01"]["topic"] == "kprobe"


def test_an_unknown_lesson_is_wrong_usage_and_lists_lessons():
    seen = workbook("verify", "nonsense")
    assert seen.returncode == 2
    assert "'nonsense' names no lesson" in seen.stderr
    assert "01-hello-kprobe" in seen.stderr


def test_an_ambiguous_lesson_is_wrong_usage_and_lists_matches():
    seen = workbook("verify", "e")
    assert seen.returncode == 2
    assert "'e' names more than one lesson: " in seen.stderr
    assert "01-hello-kprobe" in seen.stderr
    assert "next: workbook list" in seen.stderr


def test_an_unknown_key_in_lesson_toml_is_wrong_usage(course):
    path = course.root / "lessons/90-small/lesson.toml"
    path.write_text('titel = "x"\n' + path.read_text())
    seen = workbook("list", cwd=course.root)
    assert seen.returncode == 2
    assert "lesson.toml" in seen.stderr
    assert "unknown key 'titel'" in seen.stderr


def test_without_qemu_the_lab_fails_and_names_the_next_command(tmp_path):
    seen = workbook("lab", "build", PATH="/nonexistent", XDG_CACHE_HOME=str(tmp_path))
    assert seen.returncode == 3
    assert "qemu-system-x86_64 is not installed" in seen.stderr
    assert "make setup" in seen.stderr


@pytest.mark.parametrize(("no_color", "painted"), [("", True), ("1", False)])
def test_an_error_on_a_terminal_is_red_unless_no_color(no_color, painted):
    ours, theirs = pty.openpty()
    subprocess.run(
        [*WORKBOOK, "verify", "nonsense"],
        cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, timeout=60,
        env=os.environ | {"TERM": "xterm", "NO_COLOR": no_color},
    )  # fmt: skip
    os.close(theirs)
    screen = os.read(ours, 4096).decode()
    os.close(ours)
    assert "'nonsense' names no lesson" in screen
    assert ("\x1b[31m" in screen) == painted


def walk(command, words=()):
    """The words of each command below → the command, groups among them."""
    found = {words: command}
    for name, below in getattr(command, "commands", {}).items():
        found |= walk(below, (*words, name))
    return found


EVERY_COMMAND = walk(get_command(cli.app))


def on_80_columns(*words):
    """The lines that `workbook … --help` prints on a terminal of that width."""
    shown = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "80"}, prog_name="workbook")
    assert shown.exit_code == 0
    return shown.stdout.splitlines()


def summary(command):
    """The first sentence of a command's help."""
    return " ".join(command.help.split("\n\n")[0].split()).split(". ")[0].rstrip(".") + "."


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_help_shows_the_text_of_each_parameter(words):
    shown = " ".join(" ".join(on_80_columns(*words)).split())
    for parameter in EVERY_COMMAND[words].params:
        assert parameter.help, f"{parameter.name} has no help"
        assert " ".join(parameter.help.split()) in shown


@pytest.mark.parametrize("words", [words for words in EVERY_COMMAND if words], ids=" ".join)
def test_a_summary_is_short_and_its_group_shows_all_of_it(words):
    said = summary(EVERY_COMMAND[words])
    assert len(said) <= 60, said
    assert [words[-1], *said.split()] in [line.split() for line in on_80_columns(*words[:-1])]


def test_help_needs_no_module_but_the_command_line():
    code = "import sys; from harness import cli; print(*sorted(name for name in sys.modules if 'harness.' in name))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if not name.startswith("harness.cli")] == ["harness.errors"]


def test_new_stubs_leave_no_copy_and_old_ones_can_be_restored(course):
    (course.root / "solutions/90-small/loader.py").write_text(REFERENCE)
    loader = course.root / "lessons/90-small/loader.py"
    assert workbook("author", "stubs", "90", cwd=course.root).stderr == ""
    stub = loader.read_text()
    course.write("loader.py", "mine\n")
    assert "workbook reset 90 --undo" in workbook("author", "stubs", "90", cwd=course.root).stderr
    assert sorted(path.name for path in loader.parent.iterdir()) == ["lesson.toml", "loader.py"]
    assert loader.read_text() == stub
    assert workbook("reset", "90", "--undo", cwd=course.root).returncode == 0
    assert loader.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("loader", "code", "complaint"),
    [
        ("raise KeyboardInterrupt", -signal.SIGINT, "\n"),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; print(sys.argv[1:], __name__, file=sys.stderr)", 0, "['-x'] __main__\n"),
    ],
)
def test_interrupting_a_loader_leaves_no_traceback(tmp_path, loader, code, complaint):
    seen = run_loader(tmp_path, loader)
    assert (seen.returncode, seen.stderr) == (code, complaint)


def test_a_loaders_traceback_begins_with_its_own_line(tmp_path):
    (tmp_path / "beside.py").write_text("def fail():\n    raise ValueError(23)\n")
    seen = run_loader(tmp_path, "import beside\nbeside.fail()")
    assert [line.split(",")[0] for line in seen.stderr.splitlines() if "File" in line] == [
        f'  File "{tmp_path / name}"' for name in ("loader.py", "beside.py")
    ]
    assert seen.stderr.splitlines()[-1] == "ValueError: 23"


def test_an_interrupt_while_python_starts_prints_one_newline(tmp_path):
    def interrupt_at_once():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.kill(os.getpid(), signal.SIGINT)

    seen = run_loader(tmp_path, "print('ran')", first=interrupt_at_once)
    assert (seen.returncode, seen.stdout, seen.stderr) == (-signal.SIGINT, "", "\n")


def test_every_lesson_with_a_bpf_program_has_a_demo():
    assert [one.number for one in Course.load(ROOT) if not one.demo] == ["00"]


def run_loader(folder, text, first=None):
    """A loader with this text, run as `workbook run` runs it in the guest; the child does `first` before it starts."""
    (folder / "loader.py").write_text(text)
    argv = starter.argv(str(folder / "loader.py"), "-x", python=sys.executable)
    return subprocess.run(argv, cwd="/", capture_output=True, text=True, timeout=60, preexec_fn=first)


@pytest.mark.parametrize(("named", "filled"), [("90", ["90-small.md"]), ("index", ["index.md"])])
def test_the_pages_command_fills_what_it_was_asked_for(course, named, filled):
    docs = course.root / "docs"
    docs.mkdir()
    for name in ("90-small.md", "index.md"):
        (docs / name).write_text("<!-- lessons: basics -->\n")
    assert workbook("author", "pages", named, cwd=course.root).returncode == 0
    assert [path.name for path in sorted(docs.iterdir()) if "Small" in path.read_text()] == filled


@pytest.mark.guest
def test_a_program_in_the_guest_inherits_a_small_environment():
    seen = workbook("lab", "exec", "--", "env")
    names = {line.partition("=")[0] for line in seen.stdout.splitlines()}
    known = {"HOME", "LANG", "PATH", "PWD", "OLDPWD", "SHLVL", "TERM"}
    ours = {"PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED", "WORKBOOK_ARTEFACTS"}
    assert names - {"NO_COLOR"} == known | ours


@pytest.mark.guest
def test_lab_exec_passes_input_output_and_exit_status():
    seen = workbook("lab", "exec", "--", "sh", "-c", "cat; echo oops >&2; exit 7", given="hello\n")
    assert (seen.returncode, seen.stdout, seen.stderr) == (7, "hello\n", "oops\n")


@pytest.mark.guest
@pytest.mark.parametrize(
    ("arguments", "seen", "told"),
    [
        (
            [],
            "['sh', '-c', 'id; uname']\n",
            "nothing else runs in the guest, so this starts: workbook run 90 -- sh -c 'id; uname'",
        ),
        (["--seconds", "3"], "['--seconds', '3']\n", ""),
    ],
)
def test_a_loader_without_arguments_watches_the_lessons_demo(course, arguments, seen, told):
    course.write("lesson.toml", 'demo = ["sh", "-c", "id; uname"]\n' + TOML)
    course.write("loader.py", "import sys; print(sys.argv[1:])\n")
    done = workbook("run", "90", *arguments, cwd=course.root)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (0, seen, told)


@pytest.mark.guest
def test_named_files_travel_along(tmp_path):
    (tmp_path / "note").write_text("23")
    seen = workbook("lab", "exec", "--with", str(tmp_path), "--", "cat", str(tmp_path / "note"))
    assert (seen.returncode, seen.stdout) == (0, "23")


@pytest.mark.guest
def test_the_guest_has_no_network_and_cannot_see_the_host():
    command = "ls /sys/class/net; ls /sys/bus/pci/drivers | grep -c 9p; ls /home"
    seen = workbook("lab", "exec", "--", "sh", "-c", command)
    assert seen.stdout.split() == ["lo", "0"]


@pytest.mark.guest
def test_one_of_debians_tools_prints_its_first_line():
    with started("lab", "exec", "--", "opensnoop-bpfcc") as process:
        assert process.stdout.readline().split()[:2] == ["PID", "COMM"]


@pytest.mark.guest
def test_an_interrupt_is_passed_on_and_nothing_is_left():
    with started("lab", "exec", "--", "python3", "-u", "-c", "print('there')\nwhile True: pass") as process:
        assert process.stdout.readline() == "there\n"
        (qemu,) = children(process.pid)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
        assert "KeyboardInterrupt" in complaint
        assert not Path(f"/proc/{qemu}").exists()


@contextlib.contextmanager
def started(*arguments):
    """The command while it runs; interrupted at the end of the block if it still does."""
    process = subprocess.Popen(
        [*WORKBOOK, *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def children(pid):
    """The process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.guest
@pytest.mark.parametrize("moment_s", [0.5, 1.5, 4.0])
def test_an_interrupt_at_any_moment_leaves_no_guest(moment_s):
    with started("verify", "--tree", "solutions", "01") as process:
        time.sleep(moment_s)  # the moment itself is what is tried; nothing is asserted about what runs then
        guests = children(process.pid)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in complaint
    assert [pid for pid in guests if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.guest
def test_verify_shows_the_first_open_step_and_exits_with_1(course):
    test = "import pytest\n@pytest.mark.step(1)\ndef test_one(loader):\n    assert loader.one() == 23\n"
    course.write("test_small.py", test)
    course.write("loader.py", "def one(): return 22\n")
    seen = workbook("verify", "90", cwd=course.root)
    assert seen.returncode == 1
    assert "✘ 1  act" in seen.stdout
    assert "assert 22 == 23" in seen.stdout
    assert "next: " in seen.stdout


@pytest.mark.guest
def test_the_doctor_finds_the_lab_fit_for_every_lesson():
    seen = workbook("doctor", "--json")
    found = {finding["name"]: finding for finding in json.loads(seen.stdout)}
    assert seen.returncode == 0
    assert found["lesson 01"]["state"] == "ok"


@pytest.mark.parametrize("part", ["test_any_path[/etc/hosts]", "test_any_path[red]", "test_any_path[]"])
def test_what_is_being_done_is_shown_as_it_is(part):
    """Test names have brackets, which rich takes for markup: [/etc/hosts] would close a style that is not open."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=200)
    with working(screen, "checking 08-combining") as say:
        say(part)
    assert f"checking 08-combining: {part}" in screen.file.getvalue()


def test_the_name_of_a_folder_is_harmless_to_print(course):
    (course.root / "lessons/\x1b[31mred").mkdir()
    (course.root / "lessons/\x1b[31mred/lesson.toml").write_text(TOML)
    seen = workbook("list", cwd=course.root)
    assert seen.returncode == 2
    assert "\\x1b[31mred: a lesson's folder is named NN-slug" in seen.stderr


def test_the_words_of_a_todo_are_harmless_to_print(course):
    text = REFERENCE.replace("return the number", "\x1b[31mred")
    (course.root / "solutions/90-small/loader.py").write_text(text)
    seen = workbook("reset", "90", cwd=course.root)
    assert seen.returncode == 2
    assert "loader.py:2: a TODO holds a character that cannot be shown" in seen.stderr


def test_a_stage_is_shown_as_it_is():
    screen = Console(file=io.StringIO(), force_terminal=True, width=200)
    with stages(screen) as say:
        say("building [/etc/hosts]")
    assert "building [/etc/hosts]" in screen.file.getvalue()


def test_progress_shows_what_the_file_says_as_it_is(course):
    (course.root / ".workbook").mkdir()
    entry = {"verdict": "[red]x[/red]", "when": "[/nothing]"}
    (course.root / ".workbook/progress.json").write_text(json.dumps({"lessons": {"small": entry}}))
    seen = workbook("progress", cwd=course.root)
    assert (seen.returncode, seen.stderr) == (0, "")
    assert seen.stdout.splitlines()[2].split() == ["90-small", "0/2", "[red]x[/red]", "[/nothing]"]


@pytest.fixture
def two_tracks(course):
    """A course of two lessons; the second, 91-hard, is of the advanced track and comes after the first."""
    folder = course.root / "lessons/91-hard"
    folder.mkdir()
    (folder / "lesson.toml").write_text(ADVANCED + TOML.replace("mall", "ore"))
    (folder / "test_hard.py").write_text("def test_act(loader): pass\n")
    return course


def test_list_and_progress_show_each_track(two_tracks):
    for command in ("list", "progress"):
        seen = workbook(command, cwd=two_tracks.root)
        assert seen.returncode == 0
        rows = [" ".join(row.split()[:3]) for row in seen.stdout.splitlines()]
        assert [row for row in rows if row.startswith("The ")] == ["The basics", "The advanced track"]
        number = [row[:2] for row in rows]
        assert number.index("90") < rows.index("The advanced track") < number.index("91")


def test_list_and_progress_name_the_track_for_programs(two_tracks):
    for command in ("list", "progress"):
        found = json.loads(workbook(command, "--json", cwd=two_tracks.root).stdout)
        assert {one["number"]: one["track"] for one in found} == {"90": "basics", "91": "advanced"}


def test_a_check_warns_of_a_lesson_that_comes_before(two_tracks):
    """It warns and goes on: without QEMU, as far as that."""
    warning = "91-hard comes after 90-small, which is not done yet"
    seen = workbook("verify", "91", cwd=two_tracks.root, PATH="/nonexistent")
    assert warning in seen.stderr
    assert "qemu-system-x86_64 is not installed" in seen.stderr
    assert warning not in workbook("verify", "90", cwd=two_tracks.root, PATH="/nonexistent").stderr
    progress.note_check(catalog.load(two_tracks.root / "lessons/90-small"), "done", 2, "now")
    assert warning not in workbook("verify", "91", cwd=two_tracks.root, PATH="/nonexistent").stderr


def test_a_lost_guests_console_is_shown_with_its_heading():
    code = (
        "from harness import cli, errors\n"
        "def app(): raise errors.GuestLost('gone', console='[/x] panic', remedy='make lab')\n"
        "cli.app = app; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == "gone\nLast lines of the guest's console:\n[/x] panic\nnext: make lab\n"


def test_a_fault_of_the_workbook_is_no_verdict():
    code = "from harness import cli; cli.app = lambda: {}['an unforeseen case']; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3
    assert "KeyError: 'an unforeseen case'" in done.stderr
    assert done.stderr.endswith("This is a fault of the workbook, not of your code.\n")


def test_a_terminal_shows_how_long_work_has_taken():
    screen = Console(file=io.StringIO(), force_terminal=True, width=200)
    with working(screen, "checking 08-combining") as say:
        say("test 1 of 23")
    assert "0:00:00" in screen.file.getvalue()


@pytest.mark.parametrize(("every_s", "lines"), [(0.0, 3), (60.0, 0), (None, 0)])
def test_a_log_has_a_line_of_long_work_now_and_then(every_s, lines):
    screen = Console(file=io.StringIO(), width=200)
    with working(screen, "judging", every_s) as say:
        for number in range(3):
            say(f"{number} of 3")
    assert screen.file.getvalue().splitlines() == [f"judging: {number} of 3" for number in range(lines)]


def test_a_log_has_a_line_when_work_takes_long(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("harness.screen.time.monotonic", lambda: now[0])
    screen = Console(file=io.StringIO(), width=200)
    with working(screen, "checking", 10) as say:
        for second in range(0, 30, 4):
            now[0] = second
            say(f"at {second}")
    assert screen.file.getvalue().splitlines() == ["checking: at 12", "checking: at 24"]
