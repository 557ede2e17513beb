"""Counts page faults, at their handler."""

import time
from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("traps.bpf.c")))
function = b"exc_page_fault"
bpf.attach_kprobe(
    event=function,
    fn_name=b"on_fault",
)
time.sleep(1)
print(bpf["faults"][0].value, "page faults")
