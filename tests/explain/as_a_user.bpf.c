// Counts, and prints.

#include <uapi/linux/ptrace.h>

BPF_HASH(unlinks, u32, u64);

int on_unlink(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    unlinks.atomic_increment(pid);
    bpf_trace_printk("unlink by %d\n", pid);
    return 0;
}
