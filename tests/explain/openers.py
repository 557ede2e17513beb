"""Count openat by process, from the tracepoint."""

from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("openers.bpf.c")))
bpf.attach_tracepoint(tp="syscalls:sys_enter_opnat", fn_name="on_openat")
open("/etc/hostname").close()
for pid, count in bpf["opens"].items():
    print(pid.value, count.value)
