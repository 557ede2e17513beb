// Counts writes of more than a page.

#include <uapi/linux/ptrace.h>

BPF_ARRAY(large, u64, 2);

int on_write(struct pt_regs *ctx)
{
    u64 size = PT_REGS_PARM3(ctx);

    if (size > 4096)
        large.atomic_increment(0);
}
