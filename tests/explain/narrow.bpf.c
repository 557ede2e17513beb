// An event for each exec.

struct exec_event {
    u32 pid;
    char comm[16];
    u32 uid;
};

BPF_PERF_OUTPUT(execs);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct exec_event event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.uid = bpf_get_current_uid_gid();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    execs.perf_submit(args, &event, sizeof(event));
    return 0;
}
