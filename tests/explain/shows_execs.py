"""Print each exec as it comes."""

import subprocess
from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("shows_execs.bpf.c")))


def show(cpu, data, size):
    event = bpf["execs"].event(data)
    print(event.pid, event.uid, event.name.decode())


bpf["execs"].open_perf_buffer(show, page_cnt=8)
subprocess.run(["true"])
bpf.perf_buffer_poll(timeout=500)
