// Keeps a map of children and their parents, too small on purpose: a process is added when it is forked.

#define MAX_MAP_ENTRIES 5

BPF_ARRAY(whose, u32, 1); // user space writes the parent's process id
BPF_HASH(parents, u32, u32, MAX_MAP_ENTRIES); // child -> parent
BPF_ARRAY(refusal, int, 1); // what the last failed update returned

// region program
TRACEPOINT_PROBE(sched, sched_process_fork)
{
    int first = 0, error;
    u32 parent = args->parent_pid, child = args->child_pid;
    u32 *wanted = whose.lookup(&first);

    if (!wanted || *wanted != parent)
        return 0;
    error = parents.update(&child, &parent);
    if (error)
        refusal.update(&first, &error);
    return 0;
}
// endregion
