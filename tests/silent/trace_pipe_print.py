"""Reads its own calls from the trace without BCC, for which it has a rival."""

import os
import subprocess
import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
int called(struct pt_regs *ctx)
{
    bpf_trace_printk("called\\n");
    return 0;
}
"""
)
rival = subprocess.Popen(["setsid", "--fork", "cat", "/sys/kernel/tracing/trace_pipe"], stdout=subprocess.DEVNULL)
rival.wait()
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
time.sleep(0.5)
for _ in range(5):
    os.getppid()
time.sleep(0.5)
with open("/sys/kernel/tracing/trace_pipe", "rb", buffering=0) as trace:
    os.set_blocking(trace.fileno(), False)
    print(trace.read(100))
