// The name of whoever calls.

#include <uapi/linux/ptrace.h>

int hello(struct pt_regs *ctx)
{
    char comm[16] = {};

    bpf_get_current_comm(comm);
    bpf_trace_printk("hello %s\n", comm);
    return 0;
}
