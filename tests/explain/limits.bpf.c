// Numbers at the top that never change are no globals.

#include <uapi/linux/ptrace.h>

static const u64 LEAST = 512;
static const u64 MOST = 1 << 20;

BPF_HISTOGRAM(sizes);

int syscall__read(struct pt_regs *ctx, int fd, void __user *buf, size_t count)
{
    if (count >= LEAST && count < MOST)
        sizes.atomic_increment(bpf_log2l(count));
    return 0;
}
