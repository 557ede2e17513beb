// As older tutorials have it.

#include <uapi/linux/ptrace.h>

BPF_HASH(counts, u32, u64);

int on_call(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 zero = 0, *count;

    count = counts.lookup_or_init(&pid, &zero);
    if (!count)
        return 0;
    *count += PT_REGS_PARM1(ctx) ? 1 : 2;
    return 0;
}
