"""Counts its own calls, and is too slow to read."""

import os

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
struct big { char text[400]; };
BPF_PERF_OUTPUT(calls);
int called(struct pt_regs *ctx)
{
    struct big big = {};
    calls.perf_submit(ctx, &big, sizeof(big));
    return 0;
}
"""
)
seen = []
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_perf_buffer(lambda cpu, data, size: seen.append(size), page_cnt=1)
for _ in range(5):
    for _ in range(400):
        os.getppid()
    bpf.perf_buffer_poll(20)
print("calls:", len(seen))
