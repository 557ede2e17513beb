// A line for each clone.

#include <uapi/linux/ptrace.h>

int on_clone(struct pt_regs *ctx)
{
    bpf_trace_printk("clone\n");
    return 0;
}
