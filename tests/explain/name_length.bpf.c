// How long are the names of threads? A histogram.

#include <linux/string.h>

BPF_HISTOGRAM(lengths);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    char comm[16] = {};

    bpf_get_current_comm(comm, sizeof(comm));
    lengths.atomic_increment(strlen(comm));
    return 0;
}
