"""Prints which process calls getppid, from the fields of the trace."""

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
while True:
    fields = bpf.trace_fields(nonblocking=True)
    if fields[0] is not None:
        print(fields[1])
    time.sleep(0.2)
