// How long this machine has run. Nothing calls it: it is here to be looked at as bytecode.

// region function
int uptime(void *ctx)
{
    return bpf_ktime_get_ns() / 1000000000; // seconds
}
// endregion
