// How long each thread was inside nanosleep.

#include <uapi/linux/ptrace.h>

struct nap {
    u32 pid;
    u64 took_ns;
};

BPF_HASH(started, u32, u64); // thread -> when it fell asleep
BPF_PERF_OUTPUT(naps);

int falls_asleep(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    started.update(&tid, &now);
    return 0;
}

int wakes_up(struct pt_regs *ctx)
{
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = pid_tgid;
    u64 *since = started.lookup(&tid);
    struct nap nap = {};

    nap.pid = pid_tgid >> 32;
    nap.took_ns = bpf_ktime_get_ns() - *since;
    naps.perf_submit(ctx, &nap, sizeof(nap));
    started.delete(&tid);
    return 0;
}
