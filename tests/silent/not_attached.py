"""Counts calls of getppid."""

import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(counts, u32, u64);
int count(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.increment(pid);
    return 0;
}
"""
)
bpf.load_func(b"count", BPF.KPROBE)
while True:
    time.sleep(0.5)
    for pid, calls in bpf["counts"].items():
        print(pid.value, calls.value)
