// As many bytes as are written, but no more than fit.

#include <uapi/linux/ptrace.h>

#define MOST 64

struct written {
    u32 pid;
    u32 size;
    char bytes[MOST];
};

BPF_PERF_OUTPUT(writes);

int syscall__write(struct pt_regs *ctx, int fd, const char __user *buf, size_t count)
{
    struct written event = {};
    u32 size = count;

    if (size > MOST)
        size = MOST;
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.size = size;
    bpf_probe_read_user(event.bytes, size, buf);
    writes.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
