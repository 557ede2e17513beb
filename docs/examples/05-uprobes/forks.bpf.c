// Runs each time bash makes a child process for a command.

#include <uapi/linux/ptrace.h>

struct fork {
    u32 pid;
    char command[40];
};

BPF_PERF_OUTPUT(forks);

// region program
// pid_t make_child(char *command, int flags): the first argument is an address in the shell's memory.
int makes_child(struct pt_regs *ctx)
{
    struct fork fork = {};

    fork.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_probe_read_user_str(fork.command, sizeof(fork.command), (void *)PT_REGS_PARM1(ctx));
    forks.perf_submit(ctx, &fork, sizeof(fork));
    return 0;
}
// endregion
