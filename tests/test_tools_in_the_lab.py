"""A new tool in the lab: red at first, with words that say what to do; green once that is done."""

import subprocess
import sys

import pytest
from test_tools import make

pytestmark = pytest.mark.guest
ANSWERS = {
    "loader.py": (
        ("    raise NotImplementedError(\n", "    bpf = BPF(src_file=str(SOURCE))\n    unused = (\n"),
        ("return the BPF object\"\n    )\n", "return the BPF object\"\n    )\n"
         "    bpf.attach_kprobe(event=b\"vfs_unlink\", fn_name=b\"file_deletes\")\n    return bpf\n"),
        ('    raise NotImplementedError("read from a map what the program has counted")',
         '    key = bpf["count"].Key(pid)\n    return bpf["count"][key].value if key in bpf["count"] else 0'),
    ),
    "file_deletes.bpf.c": (
        ("int file_deletes", "BPF_HASH(count, u32, u64);\n\nint file_deletes"),
        ("    return 0;", "    u32 pid = bpf_get_current_pid_tgid() >> 32;\n    count.atomic_increment(pid);\n"
         "    return 0;"),
    ),
}  # fmt: skip
"""What a learner writes who follows the words of the first test."""


def test_a_new_tool_is_red_until_it_is_written(course):
    made = make(course)
    red = pytest_in(course)
    assert red.returncode == 1
    assert "first say in test_file_deletes.py what the tool should see" in red.stdout
    for name, edits in ANSWERS.items():
        path = made.folder() / name
        text = path.read_text()
        for old, new in edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text)
    green = pytest_in(course)
    assert (green.returncode, "1 passed" in green.stdout) == (0, True), green.stdout


def pytest_in(course):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tools/file-deletes"]
    return subprocess.run(command, cwd=course.root, capture_output=True, text=True, timeout=300)
