// The first bytes of each write.

#include <uapi/linux/ptrace.h>

struct written {
    u32 pid;
    u32 size;
    char bytes[64];
};

BPF_PERF_OUTPUT(writes);

int syscall__write(struct pt_regs *ctx, int fd, const char __user *buf, size_t count)
{
    struct written event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.size = count;
    bpf_probe_read_user(event.bytes, count, buf);
    writes.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
