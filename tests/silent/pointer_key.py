"""Counts by a structure, given the address of the pointer to it."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
struct who { u32 pid; u32 uid; };
BPF_HASH(counts, struct who, u64);
static __always_inline void count(struct who *who)
{
    u64 one = 1, *seen = counts.lookup(&who);
    if (seen)
        *seen += 1;
    else
        counts.update(&who, &one);
}
int called(struct pt_regs *ctx)
{
    struct who who = {};
    who.pid = bpf_get_current_pid_tgid() >> 32;
    who.uid = bpf_get_current_uid_gid();
    count(&who);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for _ in range(23):
    os.getppid()
for who, count in bpf["counts"].items():
    print(who.pid, who.uid, count.value)
