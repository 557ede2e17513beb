// Which thread is inside openat since when.

#include <uapi/linux/ptrace.h>

BPF_HASH(inside, u32, u64);

int enters(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    inside.update(tid, &now);
    return 0;
}
