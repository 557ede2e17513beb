"""Print each openat. The function is named as in the manual's section 2."""

from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("wrapper.bpf.c")))
bpf.attach_kprobe(event="sys_openat", fn_name="on_openat")
bpf.attach_kretprobe(event="sys_openat", fn_name="on_return")
for _ in range(23):
    print(bpf.trace_fields())
