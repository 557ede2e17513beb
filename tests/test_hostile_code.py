"""Whatever the code of a lesson does, it costs its own test, in time and with the right blame; the next test runs."""

import pytest

FOLDER = "lessons/90-small"
TESTS = """\
import pytest

@pytest.mark.step(1)
def test_the_hostile_one(loader):
    loader.act()

def test_the_next_one():
    assert 1 + 1 == 2
"""
TIMEOUT_S = 30
ENDS_BY_TIMEOUT_S = 5
"""For code that never ends by itself."""


def run(course, loader=None, *options, timeout_s=TIMEOUT_S):
    """Run the lesson with this loader."""
    course.write("test_small.py", TESTS)
    if loader is not None:
        course.write("loader.py", loader)
    return course.pytest(FOLDER, f"--timeout={timeout_s}", "-p", "no:cacheprovider", *options)


END = "assert False, 'as it should'"
CASES = {
    "an endless loop": ("while True: pass", "Timeout"),
    "a loop that swallows the time-out": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "stopped responding",
    ),
    "an endless poll": ("import select\nselect.poll().poll()", "Timeout"),
    "sys.exit": ("import sys\nsys.exit(0)", "SystemExit"),
    "os._exit": ("import os\nos._exit(0)", "ended its own process (exit status 0)"),
    "a segmentation fault": ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    "a fork that comes back": (f"import os\nos.fork()\n{END}", "as it should"),
    "a child in a separate session": (
        f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(9999)\n{END}",
        "as it should",
    ),
    "100 MB printed": (f"for _ in range(100): print('x' * 1_000_000)\n{END}", "as it should"),
    "bytes that are no text": (f"import os\nos.write(1, bytes(range(256)))\n{END}", "as it should"),
    "standard output closed": (f"import os\nos.close(1)\nos.close(2)\n{END}", "as it should"),
    "all memory": ("keep = []\nwhile True: keep.append(bytes(1 << 20))", "memory"),
    "a fork bomb": ("import os\nwhile True: os.fork()", ""),
    "the disk filled": (
        "with open('/tmp/full', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
        "No space left",
    ),
}
"""What the code does → what its failure says. All are in one lesson: the guest survives each of them.

Memory comes after the closed output: that process is killed, and the next one has its output again.
"""
ENDLESS = {name for name in CASES if "endless" in name or "time-out" in name or "bomb" in name}
STOPS = {
    "a keyboard interrupt": ("def act(): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an exit of pytest": ("import pytest\ndef act(): pytest.exit('enough')", "Exit"),
    "an endless loop at import": ("while True: pass", "Timeout"),
    "a syntax error": ("def act(:\n    pass\n", "SyntaxError"),
    "an empty file": ("", "has no attribute 'act'"),
    "not UTF-8": (b"def act(): return '\xff'\n", "SyntaxError"),
}
"""What needs a loader of its own, or ends the whole session of a lesson: each stands in a lesson, all in one guest."""


def function_of(name, text):
    return f"def {name}():\n" + "".join(f"    {line}\n" for line in text.splitlines())


@pytest.mark.guest
@pytest.mark.timeout(900)
def test_code_costs_its_own_test_and_the_next_one_runs(course):
    loader, tests = "", "import pytest\n"
    for number, (name, (text, _)) in enumerate(CASES.items()):
        loader += function_of(f"act_{number}", text)
        tests += f"@pytest.mark.timeout({ENDS_BY_TIMEOUT_S if name in ENDLESS else TIMEOUT_S})\n"
        tests += f"def test_hostile_{number}(loader): loader.act_{number}()\n"
        tests += f"def test_next_{number}(): assert 1 + 1 == 2\n"
    course.write("loader.py", loader)
    course.write("test_small.py", tests)
    # The host's own deadline, for what swallows the guest's, follows this option.
    seen = course.pytest(FOLDER, f"--timeout={TIMEOUT_S // 2}", "-p", "no:cacheprovider", timeout_s=900)
    for number, (name, (_, said)) in enumerate(CASES.items()):
        assert seen.failures[f"test_next_{number}"] == "", (name, seen.screen)
        assert said in seen.failures[f"test_hostile_{number}"], (name, seen.screen)
        assert seen.failures[f"test_hostile_{number}"], name
    assert "fault of the lab" not in seen.screen
    assert seen.code == 1


@pytest.mark.guest
def test_a_lesson_that_stops_its_session_costs_its_own_test(course):
    course.write("test_small.py", "")
    for number, (loader, _) in enumerate(STOPS.values()):
        folder = course.root / f"lessons/{91 + number}-stops"
        folder.mkdir()
        (folder / "lesson.toml").write_bytes((course.root / FOLDER / "lesson.toml").read_bytes())
        (folder / "loader.py").write_bytes(loader if isinstance(loader, bytes) else loader.encode())
        told = TESTS.replace("hostile_one", f"hostile_{number}").replace("next_one", f"next_{number}")
        (folder / "test_stops.py").write_text(told)
    seen = course.pytest("lessons", f"--timeout={ENDS_BY_TIMEOUT_S}", "-p", "no:cacheprovider")
    for number, (name, (_, said)) in enumerate(STOPS.items()):
        assert seen.failures[f"test_the_next_{number}"] == "", (name, seen.screen)
        assert said in seen.failures[f"test_the_hostile_{number}"], (name, seen.screen)
    assert "fault of the lab" not in seen.screen
    assert seen.code == 1


@pytest.mark.guest
def test_a_missing_loader_is_named(course):
    seen = run(course)
    assert "loader.py is missing" in seen.failures["test_the_hostile_one"]
    assert (seen.code, seen.failures["test_the_next_one"]) == (1, "")


C_LOADER = """\
from pathlib import Path
from bcc import BPF

def load(name):
    with BPF(src_file=str(Path(__file__).with_name(name))) as bpf:
        bpf.load_func("probe", BPF.KPROBE)
"""
C_TESTS = """\
def test_broken(loader): loader.load("broken.bpf.c")
def test_empty(loader): loader.load("empty.bpf.c")
def test_binary(loader): loader.load("binary.bpf.c")
def test_missing(loader): loader.load("missing.bpf.c")
def test_next(): pass
"""


@pytest.mark.guest
def test_a_broken_or_missing_c_file_fails_only_its_own_test(course):
    course.write("loader.py", C_LOADER)
    course.write("test_small.py", C_TESTS)
    course.write("broken.bpf.c", "int probe(void *ctx)\n{\n    return 0\n}\n")
    course.write("empty.bpf.c", "")
    course.write("binary.bpf.c", bytes(range(128, 256)))
    seen = course.pytest(FOLDER, "-p", "no:cacheprovider")
    assert "Failed to compile BPF module" in seen.failures["test_broken"], seen.screen
    assert f"{FOLDER}/broken.bpf.c:3" in seen.screen
    assert "Unknown program" in seen.failures["test_empty"], seen.screen
    assert "Failed to compile BPF module" in seen.failures["test_binary"], seen.screen
    assert "missing.bpf.c" in seen.failures["test_missing"], seen.screen
    assert (seen.failures["test_next"], seen.code) == ("", 1)


@pytest.mark.guest
def test_an_import_error_of_one_lesson_does_not_stop_another(course):
    other = course.root / "lessons/91-other"
    other.mkdir()
    (other / "lesson.toml").write_bytes((course.root / FOLDER / "lesson.toml").read_bytes())
    (other / "loader.py").write_text("def act(): pass\n")
    (other / "test_other.py").write_text("def test_of_the_other(loader): loader.act()\n")
    seen = run(course, "import no_such_module\n", "lessons/91-other")
    assert "No module named 'no_such_module'" in seen.failures["test_the_hostile_one"], seen.screen
    assert seen.failures["test_of_the_other"] == "", seen.screen
    assert seen.code == 1


@pytest.mark.guest
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_mine(:\n    pass\n", "SyntaxError"),
        ("while True: pass\n", "stopped responding"),
        ("import os\nos._exit(3)\n", "exit status 3"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    ],
    ids=["a syntax error", "an endless import", "an exit", "an interrupt"],
)
def test_an_own_test_that_cannot_be_read_stops_nothing_else(course, text, said):
    course.write("test_mine.py", text + "def test_mine(): pass\n")
    seen = run(course, "def act(): pass", f"{FOLDER}/test_mine.py", timeout_s=ENDS_BY_TIMEOUT_S)
    assert seen.failures.pop("test_the_hostile_one") == "", seen.screen
    assert seen.failures.pop("test_the_next_one") == "", seen.screen
    assert any(said in text for text in seen.failures.values()) or said in seen.screen
    assert seen.code == 1


OVERWRITE_THE_AGENT = """\
def act():
    heap = next(line for line in open("/proc/1/maps") if "[heap]" in line)
    start, end = (int(address, 16) for address in heap.split()[0].split("-"))
    with open("/proc/1/mem", "r+b", 0) as memory:
        memory.seek(start)
        memory.write(b"\\xff" * (end - start))
    while True: pass
"""


@pytest.mark.guest
@pytest.mark.parametrize(
    ("loader", "blame"),
    [
        ("def act():\n    open('/proc/sysrq-trigger', 'w').write('c')", "sysrq"),
        (OVERWRITE_THE_AGENT, ""),
    ],
    ids=["the kernel crashes", "the agent is killed"],
)
def test_a_guest_that_dies_costs_one_test_and_is_the_labs_fault(course, loader, blame):
    seen = run(course, loader)
    assert "the lab's kernel crashed while running" in seen.failures["test_the_hostile_one"], seen.screen
    assert blame in seen.failures["test_the_hostile_one"] + seen.screen
    assert seen.failures["test_the_next_one"] == ""
    assert seen.code == 3
