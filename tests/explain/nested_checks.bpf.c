// Begin and end of a call, checked in the other order.

#include <uapi/linux/ptrace.h>

struct sum {
    u64 calls;
    u64 ns;
};

BPF_HASH(began, u64, u64);
BPF_HASH(sums, u32, struct sum);

int enters(struct pt_regs *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    began.insert(&thread, &now);
    return 0;
}

int returns(struct pt_regs *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;
    struct sum none = {};
    struct sum *sum = sums.lookup_or_try_init(&pid, &none);
    u64 *since = began.lookup(&thread);

    if (since == 0 || sum == 0)
        goto out;
    lock_xadd(&sum->calls, 1);
    lock_xadd(&sum->ns, bpf_ktime_get_ns() - *since);
out:
    began.delete(&thread);
    return 0;
}
