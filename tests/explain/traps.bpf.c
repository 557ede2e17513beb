// One number.

#include <uapi/linux/ptrace.h>

BPF_ARRAY(faults, u64, 1);

int on_fault(struct pt_regs *ctx)
{
    faults.atomic_increment(0);
    return 0;
}
