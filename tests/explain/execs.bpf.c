// How often each process becomes another program.

#include <uapi/linux/ptrace.h>

#define MAX_MAP_ENTRIES 1024

BPF_HASH(execs, u32, u64, MAX_MAP_ENTRIES); // process id -> execs so far

static inline void note(u32 pid)
{
    u64 zero = 0;

    execs.insert(&pid, &zero);
}

int syscall__execve(struct pt_regs *ctx, const char __user *path)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    note(pid);
    u64 *count = execs.lookup(&pid);
    *count += 1;
    return 0;
}
