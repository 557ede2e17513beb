// How long each thread's clone() takes, in microseconds.

BPF_HASH(begun, u64);
BPF_HISTOGRAM(took);

TRACEPOINT_PROBE(syscalls, sys_enter_clone)
{
    u64 id = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    begun.update(&id, &now);
    return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_clone)
{
    u32 id = bpf_get_current_pid_tgid();
    u64 *since = begun.lookup(&id);

    if (since)
        took.increment(bpf_log2l((bpf_ktime_get_ns() - *since) / 1000));
    return 0;
}
