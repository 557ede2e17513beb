// The kernel's half of lesson 09: an event for each file that is opened below a folder, in one ring for all CPUs.

#include <uapi/linux/ptrace.h>
#include <uapi/linux/fcntl.h>

#define ANY_USER 0xFFFFFFFF
#define FOLDER_SIZE 64
#define RING_BYTES (PAGES * PAGE_SIZE)

struct file_access {
    u64 time_ns; // when, on the kernel's monotonic clock
    u32 pid;
    u32 cpu;
    u32 writes; // 1: the file is opened for writing, or to be created; 0: it is only read
    char comm[16];
    char path[980];
};

struct wanted {
    u32 active;               // 0 until loader.py has said what it wants
    u32 uid;                  // of this user alone; ANY_USER: of all
    char folder[FOLDER_SIZE]; // below this folder; empty: anywhere
};

// One ring for all CPUs, of PAGES pages, a power of two; loader.py passes PAGES to the compiler.
BPF_RINGBUF_OUTPUT(accesses, PAGES);
BPF_ARRAY(wanted, struct wanted, 1); // what loader.py wants
BPF_ARRAY(dropped, u64, 1);          // events that found no room in the ring

// Called for each event that finds no room.
static __always_inline void count_dropped(void)
{
    // TODO 4: add 1 to the only entry of dropped, losing no other CPU's addition
    u32 slot = 0;
    u64 *count = dropped.lookup(&slot);

    if (count)
        lock_xadd(count, 1);
    // end of TODO 4
}

// Whether `path` begins with the characters of `folder`.
static __always_inline bool is_below(const char *path, const char *folder)
{
    for (int i = 0; i < FOLDER_SIZE; i++) {
        if (!folder[i])
            return true;
        if (path[i] != folder[i])
            return false;
    }
    return true;
}

// What becomes of an event that is filled in: it is submitted, or discarded.
static __always_inline void finish(struct file_access *event, struct wanted *asked)
{
    u64 can_wait = BPF_RB_NO_WAKEUP; // the flags of an event that can wait
    u64 flags = 0;                   // the flags of this event

    // TODO 7: if more than half of the ring (RING_BYTES) is unread, can_wait becomes the flag that wakes the reader
    if (accesses.ringbuf_query(BPF_RB_AVAIL_DATA) > RING_BYTES / 2)
        can_wait = BPF_RB_FORCE_WAKEUP;
    // end of TODO 7

    // TODO 6: if the event's path is not below the folder, discard the event, as one that can wait, and return
    if (!is_below(event->path, asked->folder)) {
        accesses.ringbuf_discard(event, can_wait);
        return;
    }
    // end of TODO 6

    // TODO 5: an event with `writes` set wakes the reader, whatever else is in the ring; the others can wait
    flags = event->writes ? BPF_RB_FORCE_WAKEUP : can_wait;
    // end of TODO 5

    accesses.ringbuf_submit(event, flags);
}

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    u32 slot = 0, uid = bpf_get_current_uid_gid();
    u32 writes = (args->flags & O_ACCMODE) != O_RDONLY || (args->flags & O_CREAT);
    struct wanted *asked = wanted.lookup(&slot);
    struct file_access *event;

    if (!asked || !asked->active || (asked->uid != ANY_USER && asked->uid != uid))
        return 0;

    // TODO 1: reserve room for an event; no room: count_dropped(). Else fill in all fields, then finish(event, asked)
    event = accesses.ringbuf_reserve(sizeof(*event));
    if (!event) {
        count_dropped();
        return 0;
    }
    event->time_ns = bpf_ktime_get_ns();
    event->pid = bpf_get_current_pid_tgid() >> 32;
    event->cpu = bpf_get_smp_processor_id();
    event->writes = writes;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    bpf_probe_read_user_str(event->path, sizeof(event->path), args->filename);
    finish(event, asked);
    return 0;
    // end of TODO 1
}
