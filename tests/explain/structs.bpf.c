// An event for each exec.

struct exec_event {
    u64 time_ns;
    u32 pid;
    char comm[16];
};

BPF_PERF_OUTPUT(execs);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct exec_event event = {};

    event.time_ns = bpf_ktime_get_ns();
    event.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    execs.perf_submit(args, &event, sizeof(event));
    return 0;
}
