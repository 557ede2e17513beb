// The kernel's half of lesson 01: runs on every call of the function that it is attached to.

#include <uapi/linux/ptrace.h>

int hello_kprobe(struct pt_regs *ctx)
{
    char comm[16] = {};

    bpf_get_current_comm(comm, sizeof(comm));

    // TODO 2: print "hello from pid=%d comm=%s" with the process id (not the thread's) and comm
    return 0;
}
