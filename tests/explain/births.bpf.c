// Each new process, from the tracepoint.

BPF_HASH(births, u32, u64);

TRACEPOINT_PROBE(sched, sched_process_forks)
{
    u32 child = args->child_pid;
    u64 now = bpf_ktime_get_ns();

    births.update(&child, &now);
    return 0;
}
