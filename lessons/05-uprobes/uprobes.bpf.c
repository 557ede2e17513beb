// The kernel's half of lesson 05: runs when a process enters a function in user space, and when it returns.

#include <uapi/linux/ptrace.h>

#define TEXT 36

// A call that has returned, for loader.py.
struct call {
    u64 latency_ns; // from entry to return; 0: the entry was not seen
    u32 pid;
    u32 tid;
    int returned;
    char text[TEXT]; // the first argument, if it is a string
};

BPF_PERF_OUTPUT(calls);

// A call that has not returned yet. A thread can be inside several calls of one function: when it calls itself.
struct place {
    u32 tid;
    u32 depth; // 1 for the outermost call
};

struct entry {
    u64 time_ns; // bpf_ktime_get_ns() at the entry
    char text[TEXT];
};

BPF_HASH(inside, struct place, struct entry); // one entry for each call that has not returned, and no others
BPF_HASH(depths, u32, u32);                   // thread id -> number of calls that it is inside; absent: none

int hello_uprobe(struct pt_regs *ctx)
{
    struct entry entry = {};
    u32 tid = bpf_get_current_pid_tgid();

    bpf_probe_read_user_str(entry.text, sizeof(entry.text), (void *)PT_REGS_PARM1(ctx));

    // TODO 4: count the thread one call deeper in depths; store entry, with the time, in inside at that place

    return 0;
}

int hello_uretprobe(struct pt_regs *ctx)
{
    struct call call = {};

    call.pid = bpf_get_current_pid_tgid() >> 32;
    call.tid = bpf_get_current_pid_tgid();

    // TODO 2: store the function's return value in call.returned

    // TODO 5: if the thread is inside a call, fill in latency_ns and text from its entry, and delete that entry

    calls.perf_submit(ctx, &call, sizeof(call));
    return 0;
}

// Python's own probe. Only load_audit() in loader.py defines AUDIT: without its context the probe has no arguments.
#ifdef AUDIT

struct audit {
    u32 pid;
    char name[TEXT]; // such as "open" or "import"
};

BPF_PERF_OUTPUT(audits);

int hello_audit(struct pt_regs *ctx)
{
    struct audit audit = {};

    audit.pid = bpf_get_current_pid_tgid() >> 32;

    // TODO 7: the probe's first argument is the address of the event's name, in the process: copy it to audit.name

    audits.perf_submit(ctx, &audit, sizeof(audit));
    return 0;
}

#endif
