"""Why does a command wait? Print the kernel stack from which it gave up the CPU most: python3 switches.py ls /."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bcc import BPF, PerfSWConfig, PerfType

bpf = BPF(src_file=str(Path(__file__).with_name("switches.bpf.c")))

# region attach
bpf.attach_perf_event(
    ev_type=PerfType.SOFTWARE, ev_config=PerfSWConfig.CONTEXT_SWITCHES, fn_name=b"on_switch", sample_period=1
)
# endregion

with subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL) as child:
    child.wait()

# region show
found = [
    (count.value, where.stack)
    for where, count in bpf["switches"].items()
    if where.pid == child.pid and where.stack >= 0
]
count, stack = max(found)
print(f"{count} times")
for address in bpf["paths"].walk(stack):
    print(f"    {bpf.ksym(address).decode()}")
# endregion
