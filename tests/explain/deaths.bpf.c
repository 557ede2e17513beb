// Each process that ends; in which category was that?

BPF_HASH(ended, u32, u64);

TRACEPOINT_PROBE(task, sched_process_exit)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 now = bpf_ktime_get_ns();

    ended.update(&pid, &now);
    return 0;
}
