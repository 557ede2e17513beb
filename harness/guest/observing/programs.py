"""Loads a .bpf.c file without its loader: each program in it with the type that its name or its argument tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bcc import BPF, lib

TYPES = {
    "xdp_md": 6,
    "__sk_buff": 3,
    "bpf_perf_event_data": 7,
    "bpf_raw_tracepoint_args": 17,
    "bpf_sock_ops": 13,
    "sk_msg_md": 16,
    "bpf_sock_addr": 18,
    "bpf_sock": 9,
    "bpf_cgroup_dev_ctx": 15,
    "pt_regs": 2,
}
"""Structure behind a program's argument → its BPF_PROG_TYPE (include/uapi/linux/bpf.h, Linux 6.12)."""
TRACEPOINT, KPROBE = 5, 2


def type_of(name: str, source: str) -> int:
    """The type of the program `name`, guessed from its argument in `source`; a kprobe's where nothing tells."""
    if found := re.search(rf"\b{re.escape(name)}\s*\(([^)]*)\)", source):
        for structure in re.findall(r"\bstruct\s+(\w+)", found[1]):
            if structure in TYPES:
                return TYPES[structure]
            if structure.startswith(("tracepoint__", "trace_event_raw_")):
                return TRACEPOINT
    return KPROBE


def load(path: Path, cflags: Sequence[str] = (), types: Mapping[str, int] | None = None) -> None:
    """Compile `path`, attach what BCC attaches by its name, load the rest; raises what BCC raises."""
    bpf = BPF(src_file=str(path), cflags=list(cflags))
    source = path.read_text(errors="replace")
    for number in range(lib.bpf_num_functions(bpf.module)):  # type: ignore[attr-defined]
        name = lib.bpf_function_name(bpf.module, number)  # type: ignore[attr-defined]
        if name not in bpf.funcs:
            known = (types or {}).get(name.decode())
            bpf.load_func(name, known if known is not None else type_of(name.decode(), source))
