// Reads that took longer than a millisecond.

#include <uapi/linux/ptrace.h>

struct slow {
    u64 took_ns;
    u32 tid;
    int result;
};

BPF_HASH(began, u32, u64);
BPF_RINGBUF_OUTPUT(slow, 8);

int read_enters(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    began.update(&tid, &now);
    return 0;
}

int read_returns(struct pt_regs *ctx)
{
    struct slow *event = slow.ringbuf_reserve(sizeof(struct slow));
    u32 tid = bpf_get_current_pid_tgid();
    u64 *since;

    if (!event)
        return 0;
    since = began.lookup(&tid);
    if (!since) {
        slow.ringbuf_discard(event, 0);
        return 0;
    }
    event->took_ns = bpf_ktime_get_ns() - *since;
    event->tid = tid;
    event->result = PT_REGS_RC(ctx);
    if (event->took_ns > 1000000)
        slow.ringbuf_submit(event, 0);
    began.delete(&tid);
    return 0;
}
