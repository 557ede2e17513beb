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
    event.pid = pid_tgid >> 32;
    event.tid = (u32)pid_tgid;
    event.uid = (u32)bpf_get_current_uid_gid();
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    event.timestamp = bpf_ktime_get_ns();
    // end of TODO 2

    // TODO 3: read the pointer to the file name from `call`, then the name from user memory
    const char __user *name = NULL;
    bpf_probe_read_kernel(&name, sizeof(name), &PT_REGS_PARM2_SYSCALL(call));
    bpf_probe_read_user_str(event.filename, sizeof(event.filename), name);
    // end of TODO 3

    inflight.update(&event.tid, &event);
    return 0;
}

// Where openat returns.
int syscall_kretprobe(struct pt_regs *ctx)
{
    // TODO 5: find the event in inflight, add the return value, move it to done
    u32 tid = (u32)bpf_get_current_pid_tgid();
    struct syscall_event *event = inflight.lookup(&tid);
    if (!event)
        return 0;
    event->ret = PT_REGS_RC(ctx);
    done.push(event, 0);
    inflight.delete(&tid);
    return 0;
    // end of TODO 5
}
