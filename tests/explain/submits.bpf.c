// A process ends: an event.

struct ended {
    u32 pid;
    u32 uid;
    char comm[16];
};

BPF_PERF_OUTPUT(ended);

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    struct ended event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.uid = bpf_get_current_uid_gid();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    ended.perf_submit(&event, &event, sizeof(event));
    return 0;
}
