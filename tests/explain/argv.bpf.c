// The last argument of a new program.

#include <uapi/linux/ptrace.h>

struct started {
    u32 pid;
    char last[60];
};

BPF_PERF_OUTPUT(starts);

int syscall__execve(struct pt_regs *ctx, const char __user *path, const char __user *const __user *argv)
{
    struct started event = {};
    const char *argument = NULL;

    event.pid = bpf_get_current_pid_tgid() >> 32;
    while (1) {
        bpf_probe_read_user(&argument, sizeof(argument), argv);
        if (!argument)
            break;
        bpf_probe_read_user_str(event.last, sizeof(event.last), argument);
        argv++;
    }
    starts.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
