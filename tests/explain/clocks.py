"""How often does the kernel read its clock?"""

import time
from pathlib import Path

from bcc import BPF

HERE = Path(__file__)

with BPF(src_file=str(HERE.with_suffix(".bpf.c"))) as bpf:
    bpf.attach_kprobe(event=b"sched_clock", fn_name=b"on_clock")
    time.sleep(1)
    for number, count in bpf["reads"].items():
        print(f"CPU {number.value}: {count.value}")
