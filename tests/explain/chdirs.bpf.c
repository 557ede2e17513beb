// Says which process changes its folder.

#include <uapi/linux/ptrace.h>

int on_chdir(struct pt_regs *ctx)
{
    char comm[16] = {};
    u32 pid = bpf_get_curent_pid_tgid() >> 32;

    bpf_get_current_comm(comm, sizeof(comm));
    bpf_trace_printk("%s %d\n", comm, pid);
    return 0;
}
