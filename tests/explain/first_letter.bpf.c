// Counts opens of absolute paths.

#include <uapi/linux/ptrace.h>

BPF_HASH(absolute, u32, u64);

int on_open(struct pt_regs *ctx)
{
    u64 address = PT_REGS_PARM2(ctx);
    const char *path = (const char *)address;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 zero = 0, *count;

    if (!address || *path != '/')
        return 0;
    count = absolute.lookup_or_try_init(&pid, &zero);
    if (count)
        lock_xadd(count, 1);
    return 0;
}
