// The kernel's half of lesson 10: who asks for a lock on a file, who has to wait for it, and what comes of it.

#include <uapi/linux/ptrace.h>

// As in include/uapi/asm-generic/fcntl.h. Declared by hand, so that no header has to be compiled.
#define F_SETLKW 7      // lock, and wait for it; the lock belongs to the process
#define F_OFD_SETLKW 38 // the same; the lock belongs to the open file
struct flock {
    short l_type; // F_RDLCK 0, F_WRLCK 1, F_UNLCK 2
    short l_whence;
    s64 l_start;
    s64 l_len; // 0: to the end, however far the file grows
};

struct file;

#define FILE_LOCK_DEFERRED 1 // include/linux/filelock.h: another one has the lock

struct lock_call {
    u64 began_ns;
    s64 start;
    s64 length;
    u32 fd;
    u32 may_wait; // 1: the call waits for the lock; 0: it fails at once where it cannot have it
    s32 type;
    u32 waiting; // 1: it has been reported as waiting
};

struct lock_event {
    u64 time_ns;
    u64 took_ns; // since the call began
    s64 start;
    s64 length;
    u32 pid;
    u32 tid;
    u32 fd;
    u32 may_wait;
    s32 type;
    u32 returned; // 1: the call has returned; 0: it begins to wait
    s32 result;   // 0 or a negative error number
    char comm[16];
};

BPF_HASH(calls, u32, struct lock_call); // the id of a thread that is in fcntl_setlk -> its call
BPF_RINGBUF_OUTPUT(events, 64);
BPF_ARRAY(lost, u64, 1); // events that found no room in the ring

// Sends what is known of a call.
static __always_inline void report(struct lock_call *call, u32 returned, s32 result)
{
    struct lock_event *one = events.ringbuf_reserve(sizeof(struct lock_event));

    if (!one) {
        lost.atomic_increment(0);
        return;
    }
    one->time_ns = bpf_ktime_get_ns();
    one->took_ns = one->time_ns - call->began_ns;
    one->start = call->start;
    one->length = call->length;
    one->pid = bpf_get_current_pid_tgid() >> 32;
    one->tid = bpf_get_current_pid_tgid();
    one->fd = call->fd;
    one->may_wait = call->may_wait;
    one->type = call->type;
    one->returned = returned;
    one->result = result;
    bpf_get_current_comm(one->comm, sizeof(one->comm));
    events.ringbuf_submit(one, 0);
}

// This thread's call has returned: it is reported, and forgotten.
static __always_inline int returned(s32 result)
{
    u32 thread = bpf_get_current_pid_tgid();
    struct lock_call *call = calls.lookup(&thread);

    if (!call)
        return 0;
    report(call, 1, result);
    calls.delete(&thread);
    return 0;
}

// The way back by a kretprobe, as in lesson 02: attached while there is no program at the function's exit.
int lock_returned(struct pt_regs *ctx)
{
    return returned(PT_REGS_RC(ctx));
}

// Copies what the caller asks for.
static __always_inline void describe(struct lock_call *call, struct flock *asked)
{
    // TODO 2: fill in the call's type, start and length from asked's fields
}

KFUNC_PROBE(fcntl_setlk, unsigned int fd, struct file *file, unsigned int command, struct flock *asked)
{
    struct lock_call call = {};

    // TODO 1: fill in began_ns, fd and may_wait, describe(&call, asked), keep the call in calls under its thread's id
    return 0;
}

#ifndef KRETPROBE
// TODO 4: a program at the exit of fcntl_setlk; it passes the function's result to returned()
#endif

// The kernel tried to set a lock. The point's arguments are struct inode *, struct file_lock *, int result.
RAW_TRACEPOINT_PROBE(posix_lock_inode)
{
    u32 thread = bpf_get_current_pid_tgid();
    struct lock_call *call = calls.lookup(&thread);

    if (!call)
        return 0;

    // TODO 5: where the result is FILE_LOCK_DEFERRED for the first time in this call, report(call, 0, 0)
    return 0;
}
