// The arithmetic has a function of its own.

#include <uapi/linux/ptrace.h>

BPF_HISTOGRAM(sizes);

static noinline u64 slot_of(u64 size)
{
    u64 slot = 0;

    if (size > 4096)
        slot = 13;
    else if (size > 512)
        slot = 10;
    return slot + (size & 1);
}

int on_read(struct pt_regs *ctx)
{
    u64 size = PT_REGS_PARM3(ctx);

    sizes.atomic_increment(slot_of(size));
    return 0;
}
