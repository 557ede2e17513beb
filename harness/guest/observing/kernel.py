"""Questions to the kernel: what is attached, what is pinned. Asked of its own files, not of BCC."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

TRACING = Path("/sys/kernel/tracing")
KPROBES = Path("/sys/kernel/debug/kprobes/list")
PINS = Path("/sys/fs/bpf")


def kprobes() -> Counter[str]:
    """Kernel function → number of kprobes and kretprobes on its entry (Documentation/trace/kprobes.rst, Linux 6.12)."""
    return Counter(line.split()[2].split("+")[0] for line in KPROBES.read_text().splitlines())


def programs() -> set[int]:
    """Ids of the BPF programs that are loaded (bpf(2), BPF_PROG_GET_NEXT_ID, by way of bcc's library)."""
    return _ids("bpf_prog_get_next_id")


def maps() -> set[int]:
    """Ids of the BPF maps that exist."""
    return _ids("bpf_map_get_next_id")


def _ids(function: str) -> set[int]:
    import ctypes

    from bcc import lib

    found: set[int] = set()
    current = ctypes.c_uint32(0)
    step = getattr(lib, function)
    while step(current, ctypes.byref(current)) == 0:
        found.add(current.value)
    return found


def pins() -> list[str]:
    """Paths of pinned objects."""
    return [os.path.join(folder, name) for folder, _, names in os.walk(PINS) for name in names]


def remains() -> Counter[str]:
    """Everything that outlives its process if it is not taken away, each as a phrase that a learner can read."""
    found: Counter[str] = Counter()
    for function, number in kprobes().items():
        found[f"a kprobe on {function}"] += number
    for line in (TRACING / "uprobe_events").read_text().splitlines():
        found[f"a uprobe ({line.split(maxsplit=1)[-1]})"] += 1
    for path in pins():
        found[f"a pinned object ({path})"] += 1
    return found
