// The kernel's half of lesson 08: follows a tree of processes, with programs at six kinds of places on the same maps.

#include <uapi/linux/ptrace.h>

#define CLONE_THREAD 0x00010000 // linux/sched.h: the new task is a thread of the same process
#define PATH 128

struct bpf_perf_event_data; // its fields are not read here, and its header takes BCC many seconds to compile

// A process that is followed, from its birth to the exit of its last thread.
struct process {
    u64 start_ns;
    u64 end_ns;
    u64 opens; // openat calls that returned, failed ones too, and the time inside them
    u64 open_ns;
    u64 calls; // of the library function, and the time inside it (not if it calls itself: one entry for a thread)
    u64 call_ns;
    u64 samples; // clock ticks while it had a CPU
    u32 pid;
    u32 parent;
    u32 threads; // alive now
    u32 execs;
    char comm[16];
};

// An openat that has returned.
struct opened {
    u64 time_ns;
    u64 took_ns;
    u32 pid;
    int result; // a file descriptor, or a negative error
    char path[PATH];
};

// An openat that has not returned yet.
struct begun {
    u64 time_ns;
    const char *path; // in the memory of the process
};

BPF_HASH(followed, u32, struct process); // process id -> what is known of it; absent: not followed
BPF_HASH(opening, u64, struct begun);    // thread -> its openat
BPF_HASH(calling, u64, u64);             // thread -> when it entered the library function
BPF_PERF_OUTPUT(opens);
BPF_PERF_OUTPUT(ended);

// A new task, process or thread; this runs in its maker.
TRACEPOINT_PROBE(task, task_newtask)
{
    u32 maker = bpf_get_current_pid_tgid() >> 32;
    struct process *parent = followed.lookup(&maker);
    struct process child = {};

    if (!parent)
        return 0;

    // TODO 2: a thread adds one to its process's threads; a child enters followed: start_ns, pid, parent, threads, comm
    return 0;
}

// A process has become another program; it stays the same process.
TRACEPOINT_PROBE(sched, sched_process_exec)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct process *process = followed.lookup(&pid);

    if (process) {
        process->execs++; // exact: before this, execve has ended all other threads of the process
        bpf_get_current_comm(process->comm, sizeof(process->comm));
    }
    return 0;
}

// A thread exits, for whatever reason; this runs in that thread.
TRACEPOINT_PROBE(sched, sched_process_exit)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;

    // TODO 5: what this thread has begun will never return: delete it from opening and calling

    struct process *process = followed.lookup(&pid);
    if (!process)
        return 0;

    // TODO 3: add -1 to threads, losing none; at 0 set end_ns in a copy, delete the entry, submit if delete() gave 0
    return 0;
}

int syscall__openat(struct pt_regs *ctx, int folder, const char __user *path)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;
    struct begun begun = {.time_ns = bpf_ktime_get_ns(), .path = path};

    if (followed.lookup(&pid))
        opening.update(&thread, &begun);
    return 0;
}

int openat_returns(struct pt_regs *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;
    struct begun *begun = opening.lookup(&thread);
    struct process *process = followed.lookup(&pid);
    struct opened opened = {};

    if (begun && process) {
        opened.time_ns = begun->time_ns;
        opened.took_ns = bpf_ktime_get_ns() - begun->time_ns;
        opened.pid = pid;
        opened.result = PT_REGS_RC(ctx);
        // Not at the entry: by now the kernel itself has read the path, so its page is in memory.
        bpf_probe_read_user_str(opened.path, sizeof(opened.path), begun->path);
        lock_xadd(&process->opens, 1);
        lock_xadd(&process->open_ns, opened.took_ns);
        opens.perf_submit(ctx, &opened, sizeof(opened));
    }
    opening.delete(&thread);
    return 0;
}

int call_enters(struct pt_regs *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;
    u64 now = bpf_ktime_get_ns();

    if (followed.lookup(&pid))
        calling.update(&thread, &now);
    return 0;
}

int call_returns(struct pt_regs *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u32 pid = thread >> 32;
    u64 *entered = calling.lookup(&thread);
    struct process *process = followed.lookup(&pid);

    if (entered && process) {
        lock_xadd(&process->calls, 1);
        lock_xadd(&process->call_ns, bpf_ktime_get_ns() - *entered);
    }
    calling.delete(&thread);
    return 0;
}

int on_sample(struct bpf_perf_event_data *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct process *process = followed.lookup(&pid);

    if (process)
        lock_xadd(&process->samples, 1);
    return 0;
}
