"""Samples itself for a while."""

import os
import time

from bcc import BPF

bpf = BPF(
    text="""
struct bpf_perf_event_data;
BPF_HASH(ticks, u32, u64);
int tick(struct bpf_perf_event_data *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    // idle CPUs run process 0
    if (pid != 0) {
        return 0;
    }
    ticks.increment(pid);
    return 0;
}
"""
)
bpf.attach_perf_event(ev_type=1, ev_config=0, fn_name=b"tick", sample_freq=97)
end = time.monotonic() + 1
while time.monotonic() < end:
    sorted(range(500))
print("my ticks:", {pid.value: count.value for pid, count in bpf["ticks"].items()}.get(os.getpid(), 0))
