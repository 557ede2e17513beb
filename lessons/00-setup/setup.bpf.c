// The kernel's half of lesson 00: two small programs. Nothing in this file is yours to fill in.

#include <uapi/linux/ptrace.h>

int nothing(struct pt_regs *ctx)
{
    return 0;
}

int sum(struct pt_regs *ctx)
{
    volatile int n = 2; // volatile, or LLVM does the sum itself

    return n + n;
}
