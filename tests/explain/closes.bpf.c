// How many files does each process close?

#include <uapi/linux/ptrace.h>

BPF_HASH(closes, u32, u64);

int on_close(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 zero = 0;
    u64 *count = closes.lookup_or_try_init(&pid, &zero);

    if (cuont)
        lock_xadd(count, 1);
    return 0;
}
