// Who becomes which program?

#include <uapi/linux/ptrace.h>

struct started {
    u32 pid;
    char path[60];
};

BPF_PERF_OUTPUT(starts);

int syscall__execve(struct pt_regs *ctx, const char __user *filename)
{
    struct started event = {};
    const char *path;

    event.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(event.path, sizeof(event.path), path);
    starts.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
