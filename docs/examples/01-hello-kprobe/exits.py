"""Print on which CPU three processes exit: a kprobe on do_exit, a kernel function that is not a system call."""

import subprocess
from pathlib import Path

from bcc import BPF

COMMANDS = 3

# region attach
with BPF(src_file=str(Path(__file__).with_name("exits.bpf.c"))) as bpf:
    bpf.attach_kprobe(event=b"do_exit", fn_name=b"say_goodbye")
    for _ in range(COMMANDS):
        subprocess.run(["sleep", "0"], check=True)
    seen = 0
    while seen < COMMANDS:
        task, thread, cpu, flags, seconds, text = bpf.trace_fields()
        seen += 1
        print(text.decode())
# endregion
