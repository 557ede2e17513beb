// Who is woken how often?

#include <uapi/linux/ptrace.h>

typedef struct {
    u32 pid;
    u32 prio;
} wakeup_t;

BPF_HASH(wakeups, wakup_t, u64);

TRACEPOINT_PROBE(sched, sched_wakeup)
{
    wakeup_t key = {.pid = args->pid, .prio = args->prio};
    u64 zero = 0, *count;

    count = wakeups.lookup_or_try_init(&key, &zero);
    if (count)
        lock_xadd(count, 1);
    return 0;
}
