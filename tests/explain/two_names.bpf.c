// Old and new path of a rename: each is read into its own buffer first.

#include <uapi/linux/ptrace.h>

#define LONG 300

struct pair {
    u32 pid;
    char from[40];
    char to[40];
};

BPF_PERF_OUTPUT(pairs);

int syscall__rename(struct pt_regs *ctx, const char __user *from, const char __user *to)
{
    struct pair pair = {};
    char old_path[LONG] = {};
    char new_path[LONG] = {};

    pair.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(old_path, sizeof(old_path), from);
    bpf_probe_read_user_str(new_path, sizeof(new_path), to);
    __builtin_memcpy(pair.from, old_path, sizeof(pair.from));
    __builtin_memcpy(pair.to, new_path, sizeof(pair.to));
    pairs.perf_submit(ctx, &pair, sizeof(pair));
    return 0;
}
