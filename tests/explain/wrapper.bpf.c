// Entry and return.

#include <uapi/linux/ptrace.h>

BPF_HASH(began, u32, u64);

int on_openat(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    began.update(&tid, &now);
    return 0;
}

int on_return(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();

    bpf_trace_printk("%d returns %d\n", tid, (int)PT_REGS_RC(ctx));
    began.delete(&tid);
    return 0;
}
