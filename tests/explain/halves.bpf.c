// Entry and return of a call.

#include <uapi/linux/ptrace.h>

BPF_HASH(began, u32, u64);

int enters(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    if (tid) {
        began.update(&tid, &now);
    return 0;
}

int returns(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();

    began.delete(&tid);
    return 0;
}
