"""Counts its losses, and loses nearly all."""

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
seen, lost = [], []
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_perf_buffer(lambda cpu, data, size: seen.append(size), page_cnt=1, lost_cb=lost.append)
while True:
    for _ in range(500):
        os.getppid()
    bpf.perf_buffer_poll(100)
    print(len(seen), sum(lost))
