"""Loads as root, attaches as nobody."""

import os
from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("drops_early.bpf.c")))
bpf.load_func("on_sync", BPF.KPROBE)
function = bpf.get_syscall_fnname("sync")
os.setresuid(65534, 65534, 65534)
bpf.attach_kprobe(event=function, fn_name="on_sync")
os.sync()
print(bpf["syncs"][0].value, "syncs")
