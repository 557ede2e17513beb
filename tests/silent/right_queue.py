"""Takes calls from a queue."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_QUEUE(calls, u32, 64);
int called(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    calls.push(&pid, 0);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(7):
    os.getppid()
print("calls:", sum(one.value == os.getpid() for one in bpf["calls"].values()))
