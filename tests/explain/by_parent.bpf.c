// Parent and child of each fork.

struct forked {
    u32 parent;
    u32 child;
};

BPF_RINGBUF_OUTPUT(forks, 8);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    struct forked *event = forks.ringbuf_reserve(sizeof(struct forked));

    if (!event)
        return 0;
    event->parent = args->parent_pid;
    event->child = args->child_pid;
    forks.ringbuf_submit(event, 0);
    return 0;
}
