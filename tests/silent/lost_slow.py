"""Sleeps in its callback."""

import os
import time

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


def slow(cpu, data, size):
    time.sleep(0.05)
    print("called")


bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"getppid"), fn_name=b"called")
bpf["calls"].open_perf_buffer(slow, page_cnt=1)
while True:
    for _ in range(200):
        os.getppid()
    bpf.perf_buffer_poll(100)
