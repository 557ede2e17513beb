// One number.

#include <uapi/linux/ptrace.h>

BPF_ARRAY(syncs, u64, 1);

int on_sync(struct pt_regs *ctx)
{
    syncs.atomic_increment(0);
    return 0;
}
