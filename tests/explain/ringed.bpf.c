// Each exec, through a ring buffer.

#include <uapi/linux/ptrace.h>

struct event {
    u32 pid;
    char comm[16];
};

BPF_RINGBUF_OUTPUT(events, 8);
BPF_ARRAY(only, u32, 1);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    int zero = 0;
    u32 *wanted = only.lookup(&zero);
    struct event *event = events.ringbuf_reserve(sizeof(struct event));

    if (!event)
        return 0;
    event->pid = bpf_get_current_pid_tgid() >> 32;
    if (!wanted || event->pid != *wanted)
        return 0;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    events.ringbuf_submit(event, 0);
    return 0;
}
