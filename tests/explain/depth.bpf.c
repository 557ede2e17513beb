// The depth of a number: recursion.

#include <uapi/linux/ptrace.h>

BPF_HISTOGRAM(depths);

static int depth(u64 n)
{
    if (n < 2)
        return 0;
    return 1 + depth(n / 2) + depth(n / 3);
}

int on_call(struct pt_regs *ctx)
{
    depths.atomic_increment(depth(PT_REGS_PARM3(ctx)));
    return 0;
}
