"""A fault of the lab is a sentence with the next command and exit code 3, never a traceback, never put on the code."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import LabError
from harness.lab import accelerator, qemu, saved
from harness.lab.image import disk
from harness.lab.image.target import chosen, default
from harness.lab.machine import Machine
from harness.measure import interrupts
from harness.protocol.messages import Ready, Warmed

ROOT = Path(__file__).resolve().parent.parent
BUILD = [sys.executable, "-c", "import sys; sys.argv[1:] = ['lab', 'build']; from harness.cli import main; main()"]


def build(path, cache, file_max=resource.RLIM_INFINITY):
    """`workbook lab build` with these programs, this cache and a limit on the size of files."""
    return subprocess.run(
        BUILD,
        cwd=ROOT, env=os.environ | {"PATH": str(path), "XDG_CACHE_HOME": str(cache)},
        capture_output=True, text=True, timeout=240,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_max, file_max)),
    )  # fmt: skip


@pytest.fixture
def programs(tmp_path):
    """A folder on PATH that has the real QEMU; tests put other programs beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("qemu-system-x86_64", "setpriv", "sh", "python3"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def program(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_mmdebstrap_setup_is_the_next_command(programs, tmp_path):
    seen = build(programs, tmp_path / "cache")
    assert seen.returncode == 3
    assert "mmdebstrap is not installed" in seen.stderr
    assert "next: make setup" in seen.stderr


@pytest.mark.parametrize(
    "words",
    ["E: Failed to fetch: Temporary failure resolving", "tar: cannot write: No space left on device"],
    ids=["no network", "disk full"],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(programs, tmp_path, words):
    program(programs, "mmdebstrap", f"echo '{words}' >&2\nexit 25")
    seen = build(programs, tmp_path / "cache")
    assert seen.returncode == 3
    assert words in seen.stderr
    assert "next: make doctor" in seen.stderr
    assert "Traceback" not in seen.stderr
    assert [path.name for path in (tmp_path / "cache/ebpf-workbook").iterdir()] == ["build.lock"]


LONG_UNPACKING = """\
mktemp
sleep 99 &
touch "$WATCHED"
wait
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_build_kills_its_programs(programs, tmp_path, number):
    for name in ("mktemp", "sleep", "touch"):
        (programs / name).symlink_to(shutil.which(name))
    (tmp_path / "tmp").mkdir()
    program(programs, "mmdebstrap", LONG_UNPACKING)
    extra = {"PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}
    extra |= {"WATCHED": str(tmp_path / "there"), interrupts.MARK: str(tmp_path)}
    process = subprocess.Popen(BUILD, cwd=ROOT, env=os.environ | extra, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / "there").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    complaint = process.communicate(timeout=60)[1]
    assert interrupts.left_running(str(tmp_path)) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    if number == signal.SIGINT:
        assert (process.returncode, "Traceback" in complaint) == (130, False)
        assert [path.name for path in (tmp_path / "cache/ebpf-workbook").iterdir()] == ["build.lock"]


FILE_MAX = 1 << 20


def test_a_full_file_system_ends_the_build_with_a_sentence(programs, tmp_path):
    unpack = f"for target; do :; done; mkdir -p $target/boot; head -c {2 * FILE_MAX} /dev/zero > $target/boot/vmlinuz-6"
    (programs / "mkdir").symlink_to(shutil.which("mkdir"))
    (programs / "head").symlink_to(shutil.which("head"))
    program(programs, "mmdebstrap", f"ulimit -f unlimited; {unpack}")
    seen = build(programs, tmp_path / "cache", file_max=FILE_MAX)
    assert seen.returncode == 3, seen.stderr
    assert "Traceback" not in seen.stderr
    assert [path.name for path in (tmp_path / "cache/ebpf-workbook").iterdir()] == ["build.lock"]


def test_a_cache_that_cannot_be_made_is_named(programs):
    seen = build(programs, "/dev/null")
    assert seen.returncode == 3
    assert "the lab cannot be written: Not a directory: /dev/null/ebpf-workbook" in seen.stderr
    assert "next: make doctor" in seen.stderr
    assert "Traceback" not in seen.stderr


@pytest.mark.guest
def test_no_room_for_the_saved_guest_is_a_sentence(tmp_path, monkeypatch):
    """A guest that is there already is saved once more: to boot and warm another would take a minute."""
    whole = saved.ensure(chosen(), print)
    answers = {
        Ready: Ready(kernel=whole.facts.kernel, machine=whole.facts.arch),
        Warmed: Warmed(import_s=1, compile_s=1),
    }
    choice = accelerator.Choice(whole.facts.accelerator, "", "")

    def restored(image, initrd, accel, *, monitor):
        machine = Machine(image, whole.directory / "initrd", accel, state=whole.directory / "state", monitor=monitor)
        monkeypatch.setattr(machine.channel, "expect", lambda kind, _: answers[kind])
        monkeypatch.setattr(machine.channel, "request", lambda _: None)
        return machine

    monkeypatch.setattr(saved, "Machine", restored)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 20, limits[1]))
    try:
        with pytest.raises(LabError, match="QEMU could not save the guest") as failed:
            saved._build(whole.target, whole.disk, choice, tmp_path, print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.remedy == "make doctor"
    assert not (tmp_path / "facts.json").exists()


@pytest.mark.parametrize("version", ["7.2.15 (Debian 1:7.2+dfsg-7+deb12u13)", "8.1.5"])
def test_a_qemu_that_cannot_save_a_good_guest_is_refused(programs, tmp_path, version):
    (programs / "qemu-system-x86_64").unlink()
    program(programs, "qemu-system-x86_64", f"echo 'QEMU emulator version {version}'")
    seen = build(programs, tmp_path / "cache")
    assert seen.returncode == 3
    assert f"QEMU {version[:3]} cannot save a guest that works; 8.2 or newer is needed" in seen.stderr


def test_a_saved_guest_of_another_qemu_is_not_taken(monkeypatch):
    image = disk.of(default())
    monkeypatch.setattr(disk.Disk, "identity", lambda self: "one disk")
    here = saved.path_of(image, "tcg")
    other = replace(qemu.find(), version="10.9.9 (another)")
    monkeypatch.setattr(qemu, "find", lambda arch: other)
    assert saved.path_of(image, "tcg") != here


@pytest.mark.guest
def test_a_state_that_cannot_be_restored_names_the_cure(tmp_path):
    whole = saved.ensure(chosen(), print)
    damaged = tmp_path / "guest"
    damaged.mkdir()
    shutil.copy(whole.directory / "initrd", damaged / "initrd")
    state = bytearray((whole.directory / "state").read_bytes()[: 1 << 20])
    (damaged / "state").write_bytes(state)
    from harness.errors import GuestLost
    from harness.lab.virtual import VirtualLab

    lab = VirtualLab(replace(whole, directory=damaged))
    with pytest.raises(GuestLost) as lost, lab.open():
        pass
    assert lost.value.remedy == "make lab-clean lab"


@pytest.mark.guest
def test_a_killed_qemu_costs_one_test_and_the_rest_runs(course):
    course.write("loader.py", "import time\ndef act():\n    print('acting', flush=True)\n    time.sleep(99)\n")
    course.write(
        "test_small.py",
        "import pytest\n@pytest.mark.step(1)\ndef test_killed(loader): loader.act()\ndef test_next(): pass\n",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "lessons/90-small", "-s", "-p", "no:cacheprovider"],
        cwd=course.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    screen = ""
    while "acting" not in screen:
        line = process.stdout.readline()
        assert line, screen
        screen += line
    (guest,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(guest), 9)
    screen += process.communicate(timeout=120)[0]
    assert process.returncode == 3
    assert "the lab's kernel crashed while running lessons/90-small/test_small.py::test_killed" in screen
    assert "1 failed, 1 passed" in screen


CALLBACK = """\
from bcc import BPF

PROGRAM = '''
#include <uapi/linux/ptrace.h>
BPF_PERF_OUTPUT(events);
int probe(struct pt_regs *ctx)
{
    int value = 22;

    events.perf_submit(ctx, &value, sizeof(value));
    return 0;
}
'''

def poll(callback):
    import os

    with BPF(text=PROGRAM) as bpf:
        bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"probe")
        bpf[b"events"].open_perf_buffer(callback)
        os.getppid()
        bpf.perf_buffer_poll(timeout=5000)
"""
CALLBACK_TESTS = """\
def test_assert(loader):
    def callback(cpu, data, size):
        assert size == 23
    loader.poll(callback)

def test_exception(loader):
    def callback(cpu, data, size):
        raise KeyError("gone")
    loader.poll(callback)

def test_quiet(loader):
    loader.poll(lambda cpu, data, size: None)
"""


@pytest.mark.guest
def test_an_exception_in_a_perf_buffer_callback_fails_the_test(course):
    course.write("loader.py", CALLBACK)
    course.write("test_small.py", CALLBACK_TESTS)
    seen = course.pytest("lessons/90-small")
    assert "size == 23" in seen.failures["test_assert"], seen.screen
    assert "KeyError: 'gone'" in seen.failures["test_exception"], seen.screen
    assert (seen.failures["test_quiet"], seen.code) == ("", 1)
