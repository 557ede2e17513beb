// The kernel's half of lesson 06: who opens what, who waits for a CPU, who sends how much, each from a tracepoint.

struct open_event {
    u32 pid;
    char comm[16];
    char name[128];
};

struct wait {
    u64 count;
    u64 total_ns;
    char comm[16];
};

struct sender {
    u32 pid;
    char comm[16];
    char device[16];
};

BPF_PERF_OUTPUT(opens);
BPF_HASH(waiting, u32, u64); // thread → when it began to wait for a CPU
BPF_HISTOGRAM(wait_us);      // the waits of all threads

// Threads and processes come and go: when one of these maps is full, it makes room for the new ones (lesson 03).
BPF_TABLE("lru_hash", u32, struct wait, waits, 10240);  // thread → its waits, summed
BPF_TABLE("lru_hash", struct sender, u64, sent, 10240); // process and device → bytes, summed

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct open_event event = {};

    // TODO 2: fill event with the process id, its name and the file's name; submit it to opens
    return 0;
}

// From now on thread `tid` could run and does not. (0 is the idle task: it waits for nothing.)
static __always_inline void begins_to_wait(u32 tid)
{
    u64 now = bpf_ktime_get_ns();

    if (tid)
        waiting.update(&tid, &now);
}

// Thread `tid`, named `comm`, gets a CPU: add the time since it began to wait, if it did.
static __always_inline void ends_waiting(u32 tid, const char *comm)
{
    u64 *since = waiting.lookup(&tid), ns;
    struct wait none = {}, *wait;

    if (!since)
        return;
    ns = bpf_ktime_get_ns() - *since;
    waiting.delete(&tid);
    wait = waits.lookup_or_try_init(&tid, &none);
    if (!wait)
        return;
    // A thread gets one CPU at a time: no other program writes this entry now.
    wait->count += 1;
    wait->total_ns += ns;
    bpf_probe_read_kernel_str(wait->comm, sizeof(wait->comm), comm);
    wait_us.atomic_increment(bpf_log2l(ns / 1000));
}

TRACEPOINT_PROBE(sched, sched_switch)
{
    // TODO 3: the thread that leaves begins to wait if it is runnable; the one that comes ends waiting, by its own name
    return 0;
}

// TODO 5: a thread also begins to wait when it is woken and when it is new: add a probe for each

TRACEPOINT_PROBE(net, net_dev_queue)
{
    struct sender key = {};
    u64 none = 0, *bytes;

    // TODO 6: fill key with process id, its name, the device's name; add the packet's bytes to its entry, losing none
    return 0;
}
