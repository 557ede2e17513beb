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
    u32 none = 0;
    u32 *deep = depths.lookup_or_try_init(&tid, &none);
    if (deep) {
        struct place here = {};
        here.tid = tid;
        here.depth = ++*deep;
        entry.time_ns = bpf_ktime_get_ns();
        inside.update(&here, &entry);
    }
    // end of TODO 4

    return 0;
}

int hello_uretprobe(struct pt_regs *ctx)
{
    struct call call = {};

    call.pid = bpf_get_current_pid_tgid() >> 32;
    call.tid = bpf_get_current_pid_tgid();

    // TODO 2: store the function's return value in call.returned
    call.returned = PT_REGS_RC(ctx);
    // end of TODO 2

    // TODO 5: if the thread is inside a call, fill in latency_ns and text from its entry, and delete that entry
    u32 *depth = depths.lookup(&call.tid);
    if (depth) {
        struct place place = {};
        place.tid = call.tid;
        place.depth = *depth;
        struct entry *entered = inside.lookup(&place);
        if (entered) {
            call.latency_ns = bpf_ktime_get_ns() - entered->time_ns;
            __builtin_memcpy(call.text, entered->text, sizeof(call.text));
        }
        inside.delete(&place);
        if (--*depth == 0)
            depths.delete(&call.tid);
    }
    // end of TODO 5

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
    u64 address = 0;
    bpf_usdt_readarg(1, ctx, &address);
    bpf_probe_read_user_str(audit.name, sizeof(audit.name), (void *)address);
    // end of TODO 7

    audits.perf_submit(ctx, &audit, sizeof(audit));
    return 0;
}

#endif
