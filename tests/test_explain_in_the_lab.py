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


FILES = {
    "wrong.bpf.c": (WRONG, "load", "null-check", 10),
    "watch.py": (SCRIPT, "attach", "symbol-not-found", 5),
    "by_name.py": (BY_NAME, "run", "script-arguments", 7),
    "by_place.py": (BY_PLACE, "run", "script-arguments", 5),
    "usage.py": ("import sys\n\nprint(f'USAGE: {sys.argv[0]} PID')\nsys.exit()\n", "run", "script-arguments", None),
    "usage_and_1.py": ("import sys\n\nprint(f'USAGE: {sys.argv[0]} PID')\nsys.exit(1)\n", "run", "script-arguments", 4),
    "functions.py": ("def attach():\n    pass\n", "run", "nothing-loaded", None),
    "crash.py": ("open('/proc/sysrq-trigger', 'w').write('c')\n", "lab", "", None),
    "large.bpf.c": (LARGE, "compile", "stack-size", 8),
}
"""Name → text, and the kind, class and line that are due."""


def test_files_share_a_guest_and_survive_one_that_crashes_it(tmp_path):
    for name, (text, *_) in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "small.bpf.c").write_text(RIGHT)
    code, found = explained(tmp_path, "--seconds", "1", "--try", *FILES)
    said = {name: (one["kind"], one["rule"], one["line"]) for name, one in found.items()}
    assert said == {name: tuple(due) for name, (_, *due) in FILES.items()}
    assert all("--args" in found[name]["advice"] for name in ("by_name.py", "by_place.py"))
    assert "lost while this program ran" in found["crash.py"]["cause"]
    assert (found["wrong.bpf.c"]["helped"], found["large.bpf.c"]["helped"]) == (True, None)
    assert code == 3


def test_a_script_gets_the_arguments_it_needs(tmp_path):
    (tmp_path / "by_name.py").write_text(BY_NAME)
    code, found = explained(tmp_path, "--seconds", "1", "--args", "-n 7 'two words'", "by_name.py")
    assert found["by_name.py"]["kind"] == "ok"
    assert code == 0


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [(WRONG, 10, "may be NULL"), pytest.param(LARGE, 8, "512 bytes", marks=pytest.mark.long)],
)
def test_pytest_shows_the_explanation_at_the_learners_line(course, text, line, cause):
    course.write("small.bpf.c", text)
    course.write("loader.py", LOADER)
    course.write("test_small.py", TESTS)
    seen = course.pytest("lessons/90-small")
    assert seen.code == 1
    assert f"lessons/90-small/small.bpf.c:{line}" in seen.screen
    assert cause in seen.screen


@pytest.mark.long
def test_nothing_is_said_of_a_program_that_loads(course):
    course.write("small.bpf.c", RIGHT)
    course.write("loader.py", LOADER)
    course.write("test_small.py", TESTS)
    seen = course.pytest("lessons/90-small")
    assert seen.code == 0
    assert "What is wrong" not in seen.screen
