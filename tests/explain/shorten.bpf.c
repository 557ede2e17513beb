// Cut each packet that the kernel receives to 64 bytes.

#include <uapi/linux/ptrace.h>

#define KEEP 64

BPF_HASH(cut, u32, u64);

int on_receive(struct pt_regs *ctx)
{
    u32 cpu = bpf_get_smp_processor_id();
    u64 zero = 0, *count = cut.lookup_or_try_init(&cpu, &zero);

    if (count && bpf_skb_change_tail((void *)ctx, KEEP, 0) == 0)
        lock_xadd(count, 1);
    return 0;
}
