// The name of each thread that ends.

struct ended {
    char comm[16];
};

BPF_PERF_OUTPUT(ends);

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    struct ended event = {};

    bpf_get_current_comm(event.comm, sizeof(event.comm));
    ends.perf_submit(args, &event, sizeof(event));
    return 0;
}
