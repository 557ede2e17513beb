// Runs each time a thread of any process exits.

#include <uapi/linux/ptrace.h>

int say_goodbye(struct pt_regs *ctx)
{
    bpf_trace_printk("exits on CPU %d", bpf_get_smp_processor_id());
    return 0;
}
