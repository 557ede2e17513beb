// Each fork; three fields.

struct forked {
    u64 time_ns;
    u32 child;
    char comm[16];
};

BPF_RINGBUF_OUTPUT(forks, 8);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    struct forked event = {};

    event.time_ns = bpf_ktime_get_ns();
    event.child = args->child_pid;
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    forks.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
