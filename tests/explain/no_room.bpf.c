// As many entries as come.

#define ENTRIES 0

BPF_HASH(last, u32, u64, ENTRIES);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 now = bpf_ktime_get_ns();

    last.update(&pid, &now);
    return 0;
}
