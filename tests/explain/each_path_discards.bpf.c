// A place in the ring is given back on every path.

struct event {
    u32 pid;
    u32 uid;
    char comm[16];
};

BPF_RINGBUF_OUTPUT(events, 8);
BPF_ARRAY(only, u32, 1);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    int zero = 0;
    u32 *wanted;
    struct event *event = events.ringbuf_reserve(sizeof(struct event));

    if (!event)
        return 1;
    event->pid = bpf_get_current_pid_tgid() >> 32;
    event->uid = bpf_get_current_uid_gid();
    if (event->uid != 0) {
        events.ringbuf_discard(event, 0);
        return 0;
    }
    wanted = only.lookup(&zero);
    if (!wanted || *wanted != event->pid)
        goto drop;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    events.ringbuf_submit(event, 0);
    return 0;
drop:
    events.ringbuf_discard(event, BPF_RB_NO_WAKEUP);
    return 0;
}
