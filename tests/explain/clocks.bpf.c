// Counts by CPU.

#include <uapi/linux/ptrace.h>

BPF_HASH(reads, u32, u64);

int on_clock(struct pt_regs *ctx)
{
    u32 cpu = bpf_get_smp_processor_id();

    reads.atomic_increment(cpu);
    return 0;
}
