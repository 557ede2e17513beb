"""Counts the forks of this machine."""

from bcc import BPF

TEXT = r"""
BPF_ARRAY(forks, u64, 1);

TRACEPOINT_PROBE(sched, sched_process_fork)
{
    forks.atomic_increment(0);
    return 0;
}
"""


def count(seconds):
    bpf = BPF(text=TEXT)
    print(bpf["forks"][0].value, "forks in", seconds, "seconds")


def main():
    count(seconds=1)
