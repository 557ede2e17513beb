// Counts opens.

#include <uapi/linux/ptrace.h>

BPF_HASH(opens, u32, u64);

int on_open(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    opens.atomic_increment(pid);
    return 0;
}
