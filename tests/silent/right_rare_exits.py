"""Counts modules that are loaded, for a second."""

import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(loaded, u32, u64);
int load_of_a_module(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    loaded.increment(pid);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"finit_module"), fn_name=b"load_of_a_module")
print("looking for a second")
time.sleep(1)
print("modules:", sum(count.value for count in bpf["loaded"].values()))
