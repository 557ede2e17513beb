// The time that system calls take.

struct sum {
    u64 calls;
    u64 ns;
};

BPF_HASH(began, u64, u64);
BPF_HASH(sums, u32, struct sum);

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    u64 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    began.update(&thread, &now);
    return 0;
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;
    struct sum none = {}, *sum;
    u64 *since = began.lookup(&thread);

    if (!since)
        return 0;
    sum = sums.lookup_or_try_init(&pid, &none);
    if (!sum)
        return 0;
    lock_xadd(&sum->calls, 1);
    lock_xadd(&sum->ns, bpf_ktime_get_ns() - *since);
    return 0;
}
