"""Counts opens for a second."""

import time

from bcc import BPF

TEXT = r"""
BPF_ARRAY(opens, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    opens.atomic_increment(0);
    return 0;
}
"""


def main():
    bpf = BPF(text=TEXT)
    time.sleep(1)
    print(bpf["opens"][0].value, "opens")


if __name__ == "main":
    main()
