"""Compiles a lesson's program once while its run holds: the first compile in a restored guest takes longest.

Under TCG QEMU translates clang's code again after each restore. The result is thrown away, and the kernel stays as it
is: the process gives up its capabilities before it compiles, and BCC makes maps last, where it is then refused
(BPFModule::finalize, src/cc/bpf_module.cc, BCC 0.31).
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

BARE = b"#include <uapi/linux/ptrace.h>\nint bare(struct pt_regs *ctx) { return 0; }\n"
"""For a text that clang refuses: what comes after its parser is translated too."""
CPU_S = 90
"""Headers can take 27 s; a text that never ends must not keep a CPU busy for ever."""
DATA_MAX = 400 << 20
"""Bytes. A text that takes all memory must not make the kernel kill the process that holds."""
CAPABILITY_VERSION = 0x20080522  # linux/capability.h, _LINUX_CAPABILITY_VERSION_3


class Precompile:
    """A process that compiles, beside the one that made it. As a context, it is gone at the end of the block."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            _become(texts)
        self._ended = os.pidfd_open(self._pid)

    def __enter__(self) -> Precompile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ended >= 0:
            signal.pidfd_send_signal(self._ended, signal.SIGKILL)
            self._reap()

    def until_readable(self, source: int, then: Callable[[], None]) -> None:
        """Wait for something in `source`; where the compiles come to their end before it, call `then`."""
        while self._ended >= 0:
            ready, _, _ = select.select([source, self._ended], [], [])
            if source in ready:
                return
            if self._reap() == 0:
                then()
        select.select([source], [], [])

    def _reap(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        os.close(self._ended)
        self._ended = -1
        return os.waitstatus_to_exitcode(status)


def texts_in(folder: Path) -> list[bytes]:
    """The programs in a lesson's folder."""
    return [path.read_bytes() for path in sorted(folder.glob("*.bpf.c"))]


def _become(texts: Sequence[bytes]) -> None:
    """The child: silent, harmless, and never back in its parent's code."""
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_DATA, (DATA_MAX, DATA_MAX))
        _give_up_capabilities()
        _compile(texts)
        status = 0
    finally:
        os._exit(status)


def _give_up_capabilities() -> None:
    """Keep none of this process's capabilities (capset(2)): without CAP_BPF there is no map and no program."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = struct.pack("Ii", CAPABILITY_VERSION, 0), bytes(6 * 4)
    if libc.capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _compile(texts: Sequence[bytes]) -> None:
    """As BPF() compiles a text that it is given, without the maps' and functions' rest."""
    from bcc import lib

    made = [lib.bpf_module_create_c_from_string(text, 0, None, 0, False, None) for text in texts]
    if not made or not all(made):
        lib.bpf_module_create_c_from_string(BARE, 0, None, 0, False, None)
