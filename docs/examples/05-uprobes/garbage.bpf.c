// Runs each time Python's garbage collector starts.

#include <uapi/linux/ptrace.h>

BPF_HASH(runs, u32, u64); // generation -> how often

// region program
int collection_starts(struct pt_regs *ctx)
{
    u32 generation = 0;
    u64 none = 0;

    bpf_usdt_readarg(1, ctx, &generation);
    u64 *times = runs.lookup_or_try_init(&generation, &none);
    if (times)
        lock_xadd(times, 1);
    return 0;
}
// endregion
