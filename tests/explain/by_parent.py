"""Forks by parent, counted in Python."""

import subprocess
from pathlib import Path

from bcc import BPF

SOURCE = str(Path(__file__).with_name("by_parent.bpf.c"))
children: dict[int, list[int]] = {}


def receive(_ctx, data, _size):
    fork = bpf["forks"].event(data)
    children[fork.parent].append(fork.child)


bpf = BPF(src_file=SOURCE)
bpf["forks"].open_ring_buffer(receive)
subprocess.run(["sh", "-c", "true; true"])
bpf.ring_buffer_poll(timeout=500)
for parent, born in children.items():
    print(parent, born)
