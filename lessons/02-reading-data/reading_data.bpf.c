// The kernel's half of lesson 02: one program where openat begins, one where it returns.

#include <uapi/linux/ptrace.h>

// What is kept of one call. loader.py reads it byte by byte: keep it in step with SyscallEvent there.
struct syscall_event {
    u32 pid;
    u32 tid;
    u32 uid;
    char comm[16];
    char filename[64];
    u64 timestamp; // nanoseconds, the clock of bpf_ktime_get_ns()
    s32 ret;
};

// inflight: the call that each thread is inside, by thread id. done: calls that have returned, oldest first.
// Both live in the kernel and are read from Python too; lesson 03 is about such maps. A queue is the simplest way out of
// the kernel, for this lesson only: when it is full, push() refuses the event, and nothing here counts that.
BPF_HASH(inflight, u32, struct syscall_event);
BPF_QUEUE(done, struct syscall_event, 10240);

// Where openat begins.
int syscall_kprobe(struct pt_regs *ctx)
{
    u64 pid_tgid = bpf_get_current_pid_tgid();
    // The registers of the caller, in kernel memory: they hold openat's arguments.
    struct pt_regs *call = PT_REGS_SYSCALL_CTX(ctx);
    // = {} sets every byte to zero, also those between two fields.
    struct syscall_event event = {};

    // TODO 2: fill event.pid, tid, uid, comm and timestamp

    // TODO 3: read the pointer to the file name from `call`, then the name from user memory

    inflight.update(&event.tid, &event);
    return 0;
}

// Where openat returns.
int syscall_kretprobe(struct pt_regs *ctx)
{
    // TODO 5: find the event in inflight, add the return value, move it to done
    return 0;
}
