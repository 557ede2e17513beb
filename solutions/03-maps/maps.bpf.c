// The kernel's half of lesson 03: counts and times system calls, and keeps the numbers in maps (BCC says tables).
// TRACEPOINT_PROBE defines a program that BCC attaches by itself; lesson 06 explains it.

#include <uapi/linux/ptrace.h>

#define MAX_MAP_ENTRIES 10240
#define SLOTS 64
#define EVERY_CALL (-1)

struct syscall_key {
    s64 number;
    u32 pid;
};

// Hash: calls so far of each process and number; when it is full, it refuses new keys.
BPF_HASH(counts, struct syscall_key, u64, MAX_MAP_ENTRIES);

// TODO 3: define LATEST_KIND here, in quotes, as the kind of map that makes room for a new key when it is full
#define LATEST_KIND "lru_hash"
// end of TODO 3
#ifndef LATEST_KIND // until then, a plain hash
#define LATEST_KIND "hash"
#endif
// Time of the last call of each process and number, in ns on the monotonic clock, which stops in suspend.
BPF_TABLE(LATEST_KIND, struct syscall_key, u64, latest, MAX_MAP_ENTRIES);

// Array of one: whose latency is measured. User space writes it.
BPF_ARRAY(target, struct syscall_key, 1);

// Hash: thread -> time at which its call began; a thread that exits is taken out.
BPF_HASH(started, u32, u64);

// Per-CPU array: each CPU has its own 64 numbers, and no other CPU ever writes them.
BPF_PERCPU_ARRAY(latency, u64, SLOTS);

static inline void count(struct syscall_key *key)
{
    // TODO 2: make sure that counts holds *key, then add one to its value so that no CPU's addition is lost
    u64 zero = 0;
    u64 *calls = counts.lookup_or_try_init(key, &zero);

    if (calls)
        lock_xadd(calls, 1);
    // end of TODO 2
}

static inline void add_latency(u64 ns)
{
    // TODO 4: add one to this CPU's value in the slot of latency that holds ns (slot n: from 2^(n-1), but less than 2^n)
    u32 slot = bpf_log2l(ns);
    u64 *times = latency.lookup(&slot);

    if (times)
        *times += 1;
    // end of TODO 4
}

static inline void begin(struct syscall_key *key)
{
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    int first = 0;
    struct syscall_key *wanted = target.lookup(&first);

    latest.update(key, &now);
    if (wanted && wanted->pid == key->pid && (wanted->number == EVERY_CALL || wanted->number == key->number))
        started.update(&tid, &now);
}

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    // TODO 1: make a struct syscall_key of the process id and args->id with no byte unset; give it to count() and begin()
    struct syscall_key key = {};

    key.number = args->id;
    key.pid = bpf_get_current_pid_tgid() >> 32;
    count(&key);
    begin(&key);
    return 0;
    // end of TODO 1
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
    u64 now = bpf_ktime_get_ns();
    u32 tid = bpf_get_current_pid_tgid();
    u64 *since = started.lookup(&tid);

    if (since) {
        add_latency(now - *since);
        started.delete(&tid);
    }
    return 0;
}

// A thread exits: its last call, exit, never returns, and another thread may get its id.
TRACEPOINT_PROBE(sched, sched_process_exit)
{
    u32 tid = bpf_get_current_pid_tgid();

    started.delete(&tid);
    return 0;
}
