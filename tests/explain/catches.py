"""Names of what ends; names that are no text are counted, not shown."""

import subprocess
from pathlib import Path

from bcc import BPF

strange = 0
totals: dict[str, int] = {}


def receive(cpu, data, size):
    global strange
    try:
        name = bpf["ends"].event(data).comm.decode("ascii")
        totals[name] += 1
    except KeyError:
        totals[name] = 1
    except UnicodeDecodeError:
        strange += 1


bpf = BPF(src_file=str(Path(__file__).with_name("catches.bpf.c")))
bpf["ends"].open_perf_buffer(receive)
subprocess.run(["false"])
bpf.perf_buffer_poll(timeout=500)
print(totals, strange)
