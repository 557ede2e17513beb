// The name of the file that is deleted, with a mark at its end.

#include <uapi/linux/ptrace.h>

#define PATH 64

struct deleted {
    u32 pid;
    char path[PATH];
};

BPF_PERF_OUTPUT(deletes);

int syscall__unlinkat(struct pt_regs *ctx, int folder, const char __user *path)
{
    struct deleted one = {};
    int length;

    one.pid = bpf_get_current_pid_tgid() >> 32;
    length = bpf_probe_read_user_str(one.path, sizeof(one.path), path);
    one.path[length - 1] = '$';
    deletes.perf_submit(ctx, &one, sizeof(one));
    return 0;
}
