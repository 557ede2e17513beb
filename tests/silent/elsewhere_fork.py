"""Counts the children that it starts."""

import subprocess

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(children, u32, u64);
int child_is_started_by_its_parent(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    children.increment(pid);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"fork"), fn_name=b"child_is_started_by_its_parent")
for _ in range(3):
    subprocess.run(["/bin/true"], check=True)
started = {pid.value: count.value for pid, count in bpf["children"].items()}
print("children:", started)
