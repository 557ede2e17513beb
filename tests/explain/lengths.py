"""The lengths of all strings that this process measures."""

import os
from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("lengths.bpf.c")


def attach(bpf: BPF, function: str) -> None:
    bpf.attach_uprobe(name="c", sym=function, fn_name="on_length", pid=os.getpid())


bpf = BPF(src_file=str(SOURCE))
attach(bpf, "string_length")
for slot, count in bpf["lengths"].items():
    print(slot.value, count.value)
