// Says when something is mounted.

#include <uapi/linux/ptrace.h>

int on_mount(struct pt_regs *ctx)
{
    char comm[16] = {};
    u32 pid = bpf_get_current_pid_tgid() >> 32

    bpf_get_current_comm(comm, sizeof(comm));
    bpf_trace_printk("%s %d\n", comm, pid);
    return 0;
}
