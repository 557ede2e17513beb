"""Counts the signals that it sends to itself."""

import os
import signal

from bcc import BPF

bpf = BPF(
    text="""
#include <uapi/linux/ptrace.h>
BPF_HASH(signals, u32, u64);
int a_signal_is_sent_to_a_thread(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    signals.increment(pid);
    return 0;
}
"""
)
bpf.attach_kprobe(event=bpf.get_syscall_fnname(b"rt_tgsigqueueinfo"), fn_name=b"a_signal_is_sent_to_a_thread")
signal.signal(signal.SIGWINCH, signal.SIG_IGN)
for _ in range(11):
    os.kill(os.getpid(), signal.SIGWINCH)
    os.getpgid(0)
print("signals:", len(bpf["signals"]))
