// An event for each call of unlinkat: a process wants to delete a file.

#include <uapi/linux/ptrace.h>

// region event
struct deleted {
    u32 pid;
    char path[60];
};
BPF_PERF_OUTPUT(deletes);

int syscall__unlinkat(struct pt_regs *ctx, int folder, const char __user *path)
{
    struct deleted one = {};

    one.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(one.path, sizeof(one.path), path);
    deletes.perf_submit(ctx, &one, sizeof(one));
    return 0;
}
// endregion
