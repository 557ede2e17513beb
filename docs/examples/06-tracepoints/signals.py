"""Run a command; print which program it became, which signals it sent, and how many reached it."""

import subprocess
import sys
from pathlib import Path

from bcc import BPF

COMMAND = ["sh", "-c", "trap : USR1; kill -USR1 $$; kill -USR1 $$; kill -WINCH $$"]

# BCC finds TRACEPOINT_PROBE and RAW_TRACEPOINT_PROBE by their names, and attaches them here.
bpf = BPF(src_file=str(Path(__file__).with_name("signals.bpf.c")))

child = subprocess.Popen(sys.argv[1:] or COMMAND)
child.wait()

for pid, program in bpf["programs"].items():
    if pid.value == child.pid:
        print(f"pid {pid.value} runs {program.file.decode()}")
for key, times in sorted(bpf["sendings"].items(), key=lambda entry: entry[0].sig):
    if getattr(key, "from") == child.pid == key.to:
        print(f"sent itself signal {key.sig}: {times.value}")
for key, times in sorted(bpf["deliveries"].items(), key=lambda entry: entry[0].sig):
    if key.to == child.pid:
        print(f"was delivered signal {key.sig}: {times.value}")
