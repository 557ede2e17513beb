"""Counts who opens files, and thinks for a while before it does."""

import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u32, u64);
int opened(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.increment(pid);
    return 0;
}
"""
)
begin = time.process_time()
while time.process_time() < begin + 2:
    pass
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"open"), fn_name=b"opened")
while True:
    time.sleep(0.5)
    for pid, calls in bpf["counts"].items():
        print(pid.value, calls.value)
