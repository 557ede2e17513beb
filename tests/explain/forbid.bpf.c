// Forbid openat to one process: it gets -EPERM.

#include <uapi/linux/ptrace.h>

BPF_ARRAY(forbidden, u32, 1);

int syscall__openat(struct pt_regs *ctx)
{
    int zero = 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 *who = forbidden.lookup(&zero);

    if (who && *who == pid)
        bpf_override_return(ctx, -1);
    return 0;
}
