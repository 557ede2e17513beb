// Parent and child of each fork.

struct forked {
    u32 parent;
    u32 child;
};

BPF_RINGBUF_OUTPUT(forks, 8);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    struct forked event = {.parent = args->parent_pid, .child = args->child_pid};

    forks.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
