"""Counts by kind and process."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
struct key {
    u16 kind;
    u64 group;
};
BPF_HASH(counts, struct key, u64);
int called(struct pt_regs *ctx)
{
    struct key key;
    key.kind = ctx->sp & 8 ? 1 : 2;
    key.group = bpf_get_current_pid_tgid() >> 32;
    counts.increment(key);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getpgid"), fn_name=b"called")
bpf.attach_kretprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
for number in range(50):
    os.getppid()
    os.getpgid(number % 2)
mine = [count.value for key, count in bpf["counts"].items() if key.group == os.getpid()]
print("entries:", len(mine))
