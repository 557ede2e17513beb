"""Counts how many bytes were read, by size."""

import time

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HISTOGRAM(sizes);
int kprobe__ksys_read(struct pt_regs *ctx)
{
    long size = PT_REGS_RC(ctx);
    if (size > 0)
        sizes.increment(bpf_log2l(size));
    return 0;
}
"""
)
while True:
    time.sleep(0.3)
    print(len(list(bpf["sizes"].items())))
