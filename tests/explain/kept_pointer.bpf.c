// The path is looked at when openat returns: the pointer is kept until then.

#include <uapi/linux/ptrace.h>

struct begun {
    u64 time_ns;
    const char *path;
};

BPF_HASH(opening, u64, struct begun);
BPF_HASH(first_bytes, u32, u64);

int syscall__openat(struct pt_regs *ctx, int folder, const char __user *path)
{
    u64 thread = bpf_get_current_pid_tgid();
    struct begun begun = {.time_ns = bpf_ktime_get_ns(), .path = path};

    opening.update(&thread, &begun);
    return 0;
}

int openat_returns(struct pt_regs *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    struct begun *begun = opening.lookup(&thread);

    if (!begun)
        return 0;
    u64 time_ns = begun->time_ns;
    u64 address = (u64)begun->path;
    char *text = (char *)address;
    u32 letter = text[0];
    first_bytes.update(&letter, &time_ns);
    opening.delete(&thread);
    return 0;
}
