// Compares each slot with each other one.

#include <uapi/linux/ptrace.h>

#define SLOTS 200

BPF_HISTOGRAM(same);

int on_call(struct pt_regs *ctx)
{
    u64 first = PT_REGS_PARM1(ctx);
    u32 pairs = 0;

    for (u32 i = 0; i < SLOTS; i++)
        for (u32 j = 0; j < SLOTS; j++) {
            u32 other = bpf_get_prandom_u32();
            if (other > first + i)
                pairs += j;
        }
    same.atomic_increment(pairs);
    return 0;
}
