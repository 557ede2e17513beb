"""Prints each getppid, from the trace."""

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
    bpf.trace_readline(nonblocking=True)
    time.sleep(0.2)
