"""What the running kernel and BCC can do for a lesson, each found by trying it. As a program it prints them as JSON."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.protocol import codec
from harness.protocol.messages import Features

if TYPE_CHECKING:
    from bcc import BPF

TRACING = Path("/sys/kernel/tracing")
SOURCES = Path("/sys/bus/event_source/devices")
LOCKDOWN = Path("/sys/kernel/security/lockdown")
RINGBUF = 27  # linux/bpf.h, BPF_MAP_TYPE_RINGBUF
TRACE_KPROBE_MULTI = 42  # linux/bpf.h, enum bpf_attach_type
PROGRAM = """#include <uapi/linux/ptrace.h>
int probe(struct pt_regs *ctx) { return 0; }
int many(struct pt_regs *ctx) { return 0; }"""


def root() -> str:
    return "" if os.geteuid() == 0 else "programs are loaded as root"


def bcc() -> str:
    try:
        import bcc
    except ImportError as error:
        return f"Debian's python3-bpfcc is not importable: {error}"
    return "" if hasattr(bcc, "BPF") else "this `bcc` is PyPI's, another thing; Debian's is python3-bpfcc"


def compiler() -> str:
    """BCC compiles and the verifier accepts an empty program: kernel headers are there, bpf(2) is permitted."""
    from bcc import BPF

    said: list[str] = []
    try:
        with _printed(said):
            _program().load_func("probe", BPF.KPROBE)
    except Exception as error:
        first = next((line for line in said if "error:" in line), "kernel headers, or a locked kernel")
        return f"BCC cannot load an empty program: {error} ({first})"
    return ""


@functools.cache
def _program() -> BPF:
    """PROGRAM, compiled once for all that load it."""
    from bcc import BPF

    return BPF(text=PROGRAM)


@contextlib.contextmanager
def _printed(lines: list[str]) -> Iterator[None]:
    """Add to `lines` what is printed on file descriptor 2: there clang and the verifier say why."""
    before = os.dup(2)
    with tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            words.seek(0)
            lines += words.read().decode(errors="replace").splitlines()


def lockdown() -> str:
    """kernel_lockdown(7): confidentiality forbids reading kernel memory."""
    state = LOCKDOWN.read_text() if LOCKDOWN.exists() else "[none]"
    return "the kernel is locked down (confidentiality)" if "[confidentiality]" in state else ""


def tracefs() -> str:
    return _there(TRACING / "trace_pipe", "tracefs is not mounted")


def kprobe() -> str:
    return _there(SOURCES / "kprobe", "the kernel is built without kprobe events (CONFIG_KPROBE_EVENTS)")


def uprobe() -> str:
    return _there(SOURCES / "uprobe", "the kernel is built without uprobe events (CONFIG_UPROBE_EVENTS)")


def tracepoint() -> str:
    return _there(TRACING / "events/raw_syscalls/sys_enter/id", "the kernel has no system call tracepoints")


def raw_tracepoint() -> str:
    from bcc import BPF

    return "" if BPF.support_raw_tracepoint() else "the kernel has no raw tracepoints for BPF"


def fentry() -> str:
    """A program at a function's entry can be attached: the architecture has BPF trampolines (arm64: Linux 6.4)."""
    from bcc import BPF

    said: list[str] = []
    try:
        with _printed(said), BPF(text="KFUNC_PROBE(vfs_read) { return 0; }"):
            pass  # BCC loads and attaches a program of that name by itself
    except Exception as error:
        return f"a program cannot be attached at a function's entry (fentry): {error}"
    return ""


def kprobe_multi() -> str:
    """One program can be attached to many functions at once: the kernel takes such a link (Linux 5.18, arm64: 6.14)."""
    from bcc import BPF

    library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    symbols = (ctypes.c_char_p * 1)(b"vfs_read")
    options = _KprobeMulti(size=ctypes.sizeof(_KprobeMulti), syms=ctypes.addressof(symbols), cnt=1)
    said: list[str] = []
    try:
        with _printed(said):
            fd = _program().load_func("many", BPF.KPROBE, attach_type=TRACE_KPROBE_MULTI).fd
        link = library.bpf_link_create(fd, 0, TRACE_KPROBE_MULTI, ctypes.byref(options))
    except Exception as error:
        return f"a program for many functions (kprobe.multi) cannot be loaded: {error}"
    if link < 0:
        return f"a program cannot be attached to many functions at once (kprobe.multi): {os.strerror(-link)}"
    os.close(link)
    return ""


class _KprobeMulti(ctypes.Structure):
    """struct bpf_link_create_opts with its kprobe_multi part (bpf/bpf.h, libbpf 1.5)."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("iter_info", ctypes.c_void_p),
        ("iter_info_len", ctypes.c_uint32),
        ("target_btf_id", ctypes.c_uint32),
        ("multi_flags", ctypes.c_uint32),
        ("cnt", ctypes.c_uint32),
        ("syms", ctypes.c_void_p),
        ("addrs", ctypes.c_void_p),
        ("cookies", ctypes.c_void_p),
    )


def perf_event() -> str:
    return _there(SOURCES / "software", "the kernel has no software perf events")


def btf() -> str:
    return _there(Path("/sys/kernel/btf/vmlinux"), "the kernel carries no BTF (CONFIG_DEBUG_INFO_BTF)")


def ringbuf() -> str:
    """A ring buffer of one page can be created (Linux 5.8)."""
    from bcc import lib

    fd = lib.bcc_create_map(RINGBUF, b"probe", 0, 0, os.sysconf("SC_PAGE_SIZE"), 0)
    if fd < 0:
        return f"a ring buffer cannot be created: {os.strerror(ctypes.get_errno())}"
    os.close(fd)
    return ""


def usdt() -> str:
    from bcc import lib

    return uprobe() or ("" if hasattr(lib, "bcc_usdt_new_frompid") else "this BCC was built without USDT")


def _there(path: Path, why: str) -> str:
    return "" if path.exists() else why


GENERAL: tuple[Callable[[], str], ...] = (root, bcc, lockdown, compiler)
"""What every lesson needs."""
NEEDS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        kprobe, uprobe, tracepoint, raw_tracepoint, fentry, kprobe_multi, perf_event, ringbuf, tracefs, btf, usdt
    )
}  # fmt: skip
"""What a lesson.toml may ask for."""


def found() -> dict[str, str]:
    """Name → why it is not there; empty where it is. A probe that breaks counts as not there, in its own words."""
    result = {}
    for probe in (*GENERAL, *NEEDS.values()):
        try:
            result[probe.__name__] = probe()
        except Exception as error:
            result[probe.__name__] = f"{type(error).__name__}: {error}"
    return result


if __name__ == "__main__":
    sys.stdout.buffer.write(codec.dump(Features(lacking=found())) + b"\n")
