"""Asked after an attach failed: does this kernel, or that file, have the name; which name is close to it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from harness.protocol.facts import Symbols

TRACING = Path("/sys/kernel/tracing")
KPROBE = re.compile(r"k(?:ret)?probe b?'([\w.]+)'")
TRACEPOINT = re.compile(r"tracepoint b?'([\w:]+)'")
USED = re.compile(r"incomplete [^\n]*struct tracepoint__(\w+)'")
SYMBOL = re.compile(r"could not determine address of symbol (?:b?')?([^\s']*)'? in (?:b?')?([^\s']*)")
CLOSE = 0.75


def about(message: str) -> Symbols | None:
    """What was asked about the name in an attach failure, and the answers; None where no name is known."""
    if found := KPROBE.search(message):
        return _function(found[1])
    if found := TRACEPOINT.search(message):
        return Symbols(asked=True, near=_close(found[1], _tracepoints()))
    if (found := USED.search(message)) and "__" in found[1]:
        return Symbols(asked=True, near=_close(found[1].replace("__", ":", 1), _tracepoints()))
    if found := SYMBOL.search(message):
        return Symbols(asked=True, near=_close(found[1], _symbols(found[2])))
    return None


def _function(name: str) -> Symbols:
    """Whether the kernel has the function, and if not, one that is called much the same and can be probed."""
    exists = any(
        row.split()[2] == name or row.split()[2].startswith(f"{name}.") for row in _rows(Path("/proc/kallsyms"))
    )
    if exists:
        return Symbols(asked=True, exists=True)
    known = [row.split()[0] for row in _rows(TRACING / "available_filter_functions")]
    return Symbols(asked=True, exists=False, near=_close(name, known))


def _tracepoints() -> list[str]:
    return [f"{path.parent.name}:{path.name}" for path in (TRACING / "events").glob("*/*") if path.is_dir()]


def _symbols(library: str) -> list[str]:
    """The functions of a library or program, as BCC finds it by `library`."""
    from bcc import BPF, lib

    path = library.encode() if "/" in library else lib.bcc_procutils_which_so(library.encode(), 0)
    try:
        return [name.decode(errors="replace") for name in BPF.get_user_functions(path, b".*")] if path else []
    except Exception:
        return []


def _close(name: str, known: list[str]) -> tuple[str, ...]:
    """Names like `name`; the first letters must agree, so that not all of a kernel's are compared."""
    end = name.split(":")[-1][:2]
    likely = {one for one in known if one.split(":")[-1].startswith(end) and abs(len(one) - len(name)) <= 6}
    return tuple(get_close_matches(name, sorted(likely), 3, CLOSE))


def _rows(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
