// When did each process end, and how was it called?

#include <uapi/linux/ptrace.h>

struct ended {
    u64 timestamp;
    u32 pid;
    char comm[16];
};

BPF_PERF_OUTPUT(ended);

int on_exit(struct pt_regs *ctx)
{
    struct ended event = {};

    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.timestmp = bpf_ktime_get_ns();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    ended.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
