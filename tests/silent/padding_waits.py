"""Waits until getppid was called five times by one process."""

import os
import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
struct who {
    u16 kind;
    u64 group;
};
BPF_HASH(callers, struct who, u64);
int called(struct pt_regs *ctx)
{
    struct who key;
    key.kind = ctx->sp & 8 ? 1 : 2;
    key.group = bpf_get_current_pid_tgid() >> 32;
    callers.increment(key);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf.attach_kretprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getpgid"), fn_name=b"called")
while all(count.value < 500 for count in bpf["callers"].values()):
    os.getppid()
    os.getpgid(0)
    time.sleep(0.02)
print("there")
