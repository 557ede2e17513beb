"""Lesson 00: what the loader has to find out about the kernel, and to bring into it."""

import ctypes
import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from bcc import BPF, lib

LIBC = ctypes.CDLL(None, use_errno=True)
UNAME26 = 0x0020000  # linux/personality.h: uname(2) answers 2.6.x; `setarch --uname-2.6` sets it
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18  # linux/mount.h
CLONE_NEWNS = 0x00020000  # linux/sched.h


@pytest.fixture(scope="module")
def bpf(loader):
    """The programs, compiled and loaded once for all tests of this file."""
    bpf = loader.load()
    yield bpf
    if isinstance(bpf, BPF):
        bpf.cleanup()


def libc(name, *arguments):
    """Call a function of libc; an OSError where it fails."""
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def mount_for_this_process(source, target, kind, flags):
    """Mount something that only the calling process sees."""
    libc("unshare", CLONE_NEWNS)
    libc("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    libc("mount", os.fsencode(source), os.fsencode(target), kind, flags, None)


class ProgramInfo(ctypes.Structure):
    """The beginning of struct bpf_prog_info (uapi/linux/bpf.h)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("jited_bytes", ctypes.c_uint32),
        ("bytecode_bytes", ctypes.c_uint32),
        ("pointers_and_times", ctypes.c_uint8 * 40),
        ("name", ctypes.c_char * 16),
    )


def programs_here():
    """Name → ProgramInfo of the programs that this process holds in the kernel, as the kernel reports them."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        if entry.is_symlink() and os.readlink(entry).endswith("bpf-prog"):
            info, size = ProgramInfo(), ctypes.c_uint32(ctypes.sizeof(ProgramInfo))
            lib.bpf_obj_get_info_by_fd(int(entry.name), ctypes.byref(info), ctypes.byref(size))
            found[info.name] = info
    return found


@pytest.mark.step(1)
def test_the_facts_are_those_of_this_kernel(loader):
    facts = loader.facts()
    uname = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
    release, btf = facts.release, facts.btf
    assert release == uname, f"facts().release is {release!r}, `uname -r` prints {uname!r}"
    file, truth = "/sys/kernel/btf/vmlinux", Path("/sys/kernel/btf/vmlinux").exists()
    assert btf is truth, f"facts().btf is {btf!r}, expected {truth}: {file} {'exists' if truth else 'is missing'}"


@pytest.mark.step(1)
def test_another_release_is_seen(loader, workload):
    def under_another_release():
        libc("personality", UNAME26)
        platform._uname_cache = None  # the standard library's own memory; the child inherited it
        return [loader.facts().release, os.uname().release]

    loader.facts()
    release, real = workload(under_another_release).run()
    assert real.startswith("2.6."), f"the test could not change the release: `uname -r` prints {real}"
    assert release == real, f"`uname -r` prints {real!r} now, facts().release is {release!r}"


@pytest.mark.step(1)
def test_missing_btf_is_seen(loader, workload):
    def under_an_empty_mount():
        mount_for_this_process("none", "/sys/kernel/btf", b"tmpfs", 0)
        return loader.facts().btf

    loader.facts()
    btf = workload(under_an_empty_mount).run()
    assert btf is False, f"/sys/kernel/btf is empty now, and facts().btf is {btf!r}, expected False"


@pytest.mark.step(1)
@pytest.mark.parametrize(("setting", "on"), [("0", False), ("1", True), ("2", True)])
def test_the_setting_of_the_jit_is_seen(loader, workload, tmp_path, setting, on):
    (tmp_path / "setting").write_text(f"{setting}\n")

    def under_that_setting():
        mount_for_this_process(tmp_path / "setting", "/proc/sys/net/core/bpf_jit_enable", None, MS_BIND)
        return asdict(loader.facts())["jit"]

    loader.facts()
    jit = workload(under_that_setting).run()
    assert jit is on, f"bpf_jit_enable holds {setting} now, and facts().jit is {jit!r}, expected {on}"


@pytest.mark.step(2)
def test_load_returns_the_bpf_object(bpf):
    assert isinstance(bpf, BPF), f"load() returned {bpf!r}, expected the BPF object"


@pytest.mark.step(2)
def test_the_programs_are_in_the_kernel(loader, bpf, kernel):
    loaded = programs_here()
    missing = [name.decode() for name in loader.PROGRAMS if name not in loaded]
    found = len(missing)
    assert found == 0, (
        f"load() has returned, and {found} of the {len(loader.PROGRAMS)} PROGRAMS are not in the kernel "
        f"({', '.join(missing)}): never loaded, or closed again by the end of a `with`"
    )
    others = [name.decode() for name in loaded if name not in loader.PROGRAMS]
    found = len(others)
    assert found == 0, f"load() loaded {', '.join(others)}, expected only those of PROGRAMS"
    gone = {info.id for info in loaded.values()} - kernel.programs()
    found = len(gone)
    assert found == 0, f"the kernel does not list the programs with the ids {sorted(gone)}, which load() loaded"


@pytest.mark.step(2)
def test_nothing_calls_them_yet(bpf):
    attached = sorted(event.decode() for event in bpf.kprobe_fds)
    found = len(attached)
    assert found == 0, f"load() attached a program ({', '.join(attached)}), expected it to load them only"


@pytest.mark.step(2)
def test_cleanup_takes_them_out_of_the_kernel(loader, kernel, eventually):
    before = kernel.programs()
    with loader.load():
        ids = {info.id for info in programs_here().values()} - before
        expected = len(loader.PROGRAMS)
        found = len(ids)
        assert found == expected, f"a second load() put {found} new programs into the kernel, expected {expected}"
    eventually(lambda: not ids & kernel.programs(), "the programs to leave the kernel after bpf.cleanup()")


@pytest.mark.step(3)
@pytest.mark.parametrize("name", ["nothing", "sum"])
def test_the_instructions_are_as_many_as_the_kernel_holds(loader, bpf, name):
    in_bytes = programs_here()[name.encode()].bytecode_bytes
    expected = in_bytes // loader.INSTRUCTION_BYTES
    counted = loader.instructions(bpf, name.encode())
    call = f"instructions(bpf, {name.encode()!r})"
    assert type(counted) is int, f"{call} is {counted!r}, a {type(counted).__name__}; expected an int"
    hint = ": that is bytes" if counted == in_bytes else ""
    assert counted == expected, f"{call} is {counted}, expected {expected}{hint}"
