// The latency of system calls of each process, in slots: slot n from 2^(n-1) ns.

#define SLOTS 16

struct histogram {
    u64 calls;
    u64 slots[SLOTS];
};

BPF_HASH(began, u32, u64);
BPF_HASH(histograms, u32, struct histogram);

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    began.update(&tid, &now);
    return 0;
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 *since = began.lookup(&tid);
    struct histogram none = {};

    if (!since)
        return 0;
    struct histogram *mine = histograms.lookup_or_try_init(&tid, &none);
    if (!mine)
        return 0;
    mine->calls++;
    u64 ns = bpf_ktime_get_ns() - *since;
    mine->slots[ns / 1000]++;
    return 0;
}
