"""What a learner sees when a program fails in the lab: from `workbook explain`, from make lesson-NN, from pytest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKBOOK = str(Path(sys.executable).with_name("workbook"))
pytestmark = pytest.mark.guest
WRONG = """\
#include <uapi/linux/ptrace.h>

BPF_HASH(counts, u32, u64);

int on_sync(struct pt_regs *ctx)
{
    u32 key = 1;
    u64 *count = counts.lookup(&key);

    *count += 1;
    return 0;
}
"""
RIGHT = WRONG.replace("    *count", "    if (count)\n        *count")
LARGE = RIGHT.replace("    u32 key = 1;", '    u32 key = 1;\n    char text[600];\n\n    bpf_trace_printk("%s", text);')
SCRIPT = """\
from pathlib import Path
from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("small.bpf.c")))
bpf.attach_kprobe(event=b"no_such_function_here", fn_name=b"on_sync")
"""
LOADER = """\
from pathlib import Path
from bcc import BPF

def load():
    bpf = BPF(src_file=str(Path(__file__).with_name("small.bpf.c")))
    bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"sync"), fn_name=b"on_sync")
    return bpf
"""
TESTS = """\
import pytest

@pytest.mark.step(1)
def test_loads(loader):
    loader.load().cleanup()

@pytest.mark.step(2)
def test_last():
    pass
"""


def explained(folder, *arguments):
    """Exit status of `workbook explain --json`, and its objects by the name of the file that was asked for."""
    done = subprocess.run(
        [WORKBOOK, "explain", "--json", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=300, env=os.environ,
    )  # fmt: skip
    return done.returncode, {row["asked"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_a_program_a_script_and_a_right_program_share_a_guest(tmp_path):
    for name, text in (("wrong.bpf.c", WRONG), ("small.bpf.c", RIGHT), ("watch.py", SCRIPT), ("large.bpf.c", LARGE)):
        (tmp_path / name).write_text(text)
    code, found = explained(tmp_path, "wrong.bpf.c", "watch.py", "small.bpf.c", "large.bpf.c")
    said = {name: (one["kind"], one["rule"], one["line"]) for name, one in found.items()}
    assert said == {
        "wrong.bpf.c": ("load", "null-check", 10),
        "watch.py": ("attach", "symbol-not-found", 5),
        "small.bpf.c": ("ok", "", None),
        "large.bpf.c": ("compile", "stack-size", 8),
    }
    assert code == 1


def test_a_program_that_crashes_the_lab_spares_the_others(tmp_path):
    (tmp_path / "crash.py").write_text("open('/proc/sysrq-trigger', 'w').write('c')\n")
    (tmp_path / "wrong.bpf.c").write_text(WRONG)
    code, found = explained(tmp_path, "crash.py", "wrong.bpf.c")
    assert {name: (one["kind"], one["rule"]) for name, one in found.items()} == {
        "crash.py": ("lab", ""),
        "wrong.bpf.c": ("load", "null-check"),
    }
    assert "lost while this program ran" in found["crash.py"]["cause"]
    assert code == 3


BY_NAME = """\
import argparse
from bcc import BPF

parser = argparse.ArgumentParser()
parser.add_argument("-n", "--number", type=int, required=True)
parser.add_argument("name")
given = parser.parse_args()
print(given.number, given.name)
BPF(text="int kprobe__do_exit(void *ctx) { return %d; }" % (given.number - 7))
if given.name != "two words":
    raise ValueError(given.name)
"""
BY_PLACE = """\
import sys
from bcc import BPF

print(sys.argv)
name = sys.argv[4 - 1]
if name != "two words":
    raise ValueError(name)
BPF(text="int kprobe__do_exit(void *ctx) { return 0; }")
"""


def test_a_script_gets_the_arguments_it_needs(tmp_path):
    scripts = {"by_name.py": BY_NAME, "by_place.py": BY_PLACE}
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
    code, found = explained(tmp_path, *scripts)
    said = {name: (one["kind"], one["rule"], one["line"]) for name, one in found.items()}
    assert said == {"by_name.py": ("run", "script-arguments", 7), "by_place.py": ("run", "script-arguments", 5)}
    assert all("--args" in one["advice"] for one in found.values())
    assert code == 1
    code, found = explained(tmp_path, "--args", "-n 7 'two words'", *scripts)
    assert {name: one["kind"] for name, one in found.items()} == {"by_name.py": "ok", "by_place.py": "ok"}
    assert code == 0


def test_a_script_that_loads_nothing_is_not_called_correct(tmp_path):
    scripts = {
        "usage.py": "import sys\n\nprint(f'USAGE: {sys.argv[0]} PID')\nsys.exit()\n",
        "functions.py": "def attach():\n    pass\n",
        "usage_and_1.py": "import sys\n\nprint(f'USAGE: {sys.argv[0]} PID')\nsys.exit(1)\n",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
    code, found = explained(tmp_path, *scripts)
    assert {name: (one["kind"], one["rule"]) for name, one in found.items()} == {
        "usage.py": ("run", "script-arguments"),
        "functions.py": ("run", "nothing-loaded"),
        "usage_and_1.py": ("run", "script-arguments"),
    }
    assert code == 1


@pytest.mark.parametrize(("text", "line", "cause"), [(WRONG, 10, "may be NULL"), (LARGE, 8, "512 bytes")])
def test_pytest_shows_the_explanation_at_the_learners_line(course, text, line, cause):
    course.write("small.bpf.c", text)
    course.write("loader.py", LOADER)
    course.write("test_small.py", TESTS)
    seen = course.pytest("lessons/90-small")
    assert seen.code == 1
    assert f"lessons/90-small/small.bpf.c:{line}" in seen.screen
    assert cause in seen.screen


def test_nothing_is_said_of_a_program_that_loads(course):
    course.write("small.bpf.c", RIGHT)
    course.write("loader.py", LOADER)
    course.write("test_small.py", TESTS)
    seen = course.pytest("lessons/90-small")
    assert seen.code == 0
    assert "What is wrong" not in seen.screen
