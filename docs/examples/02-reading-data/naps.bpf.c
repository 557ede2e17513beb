// The kernel's half of the example: how long a process asks to sleep, and what its sleep returns.

#include <uapi/linux/ptrace.h>

// region struct
struct nap {
    u32 pid;
    s64 seconds;
    s64 nanoseconds;
};
// endregion

struct waking {
    u32 pid;
    s32 ret;
};

BPF_QUEUE(naps, struct nap, 1024);
BPF_QUEUE(wakings, struct waking, 1024);

// region begin
// clock_nanosleep(clock, flags, request, remain): request points to two numbers in the memory of the process.
int falls_asleep(struct pt_regs *ctx)
{
    struct pt_regs *call = PT_REGS_SYSCALL_CTX(ctx);
    const void __user *request = NULL;
    struct nap nap = {};

    nap.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_kernel(&request, sizeof(request), &PT_REGS_PARM3_SYSCALL(call));
    bpf_probe_read_user(&nap.seconds, sizeof(nap.seconds) + sizeof(nap.nanoseconds), request);
    naps.push(&nap, 0);
    return 0;
}
// endregion

// region return
int wakes_up(struct pt_regs *ctx)
{
    struct waking waking = {};

    waking.pid = bpf_get_current_pid_tgid() >> 32;
    waking.ret = PT_REGS_RC(ctx);
    wakings.push(&waking, 0);
    return 0;
}
// endregion
