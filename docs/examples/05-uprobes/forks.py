"""Run a line of shell; print for which of its commands bash forked."""

import subprocess
import sys
from pathlib import Path

from bcc import BPF

LINE = "cd /; id -un; echo hello; true | wc -l; umask"
seen: list[tuple[int, str]] = []


def receive(_cpu: int, data: object, _size: int) -> None:
    """Copy the fields here: the event is gone after the callback."""
    fork = bpf["forks"].event(data)
    seen.append((fork.pid, fork.command.decode()))


# region attach
bpf = BPF(src_file=str(Path(__file__).with_name("forks.bpf.c")))
bpf.attach_uprobe(name=b"/usr/bin/bash", sym=b"make_child", fn_name=b"makes_child")  # in every bash
# endregion
bpf["forks"].open_perf_buffer(receive)
shell = subprocess.Popen(["bash", "-c", *(sys.argv[1:] or [LINE])], stdout=subprocess.DEVNULL)
shell.wait()
bpf.perf_buffer_poll(timeout=0)
for command in sorted(command for pid, command in seen if pid == shell.pid):
    print(f"a child for: {command}")
bpf.cleanup()
