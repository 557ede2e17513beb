"""Tells of the parent's calls of getppid."""

import ctypes

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_ARRAY(only, u32, 1);
BPF_PERF_OUTPUT(calls);
int called(struct pt_regs *ctx)
{
    int slot = 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 *wanted = only.lookup(&slot);
    if (!wanted || *wanted != pid)
        return 0;
    calls.perf_submit(ctx, &pid, sizeof(pid));
    return 0;
}
"""
)
bpf["only"][ctypes.c_int(0)] = ctypes.c_uint32(1)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_perf_buffer(lambda cpu, data, size: print("called"))
while True:
    bpf.perf_buffer_poll(100)
