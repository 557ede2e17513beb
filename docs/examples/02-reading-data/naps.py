"""How long a command asks to sleep, and what its sleep returns."""

import argparse
import struct
import subprocess
from pathlib import Path

from bcc import BPF

# region decode
NAP = "@I2q"


def decode(raw: bytes) -> tuple[int, float]:
    """(pid, seconds) in the bytes of one struct nap."""
    pid, seconds, nanoseconds = struct.unpack(NAP, raw)
    return pid, seconds + nanoseconds / 1e9


# endregion


def main() -> None:
    """Watch one command."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("command", nargs=argparse.REMAINDER, help="default: sleep 0.25 0.5")
    command = options.parse_args().command or ["sleep", "0.25", "0.5"]
    # region attach
    bpf = BPF(src_file=str(Path(__file__).with_name("naps.bpf.c")))
    function = bpf.get_syscall_fnname(b"clock_nanosleep")
    bpf.attach_kretprobe(event=function, fn_name=b"wakes_up")
    bpf.attach_kprobe(event=function, fn_name=b"falls_asleep")
    # endregion
    child = subprocess.Popen(command)
    child.wait()
    for pid, seconds in (decode(bytes(value)) for value in bpf["naps"].values()):
        if pid == child.pid:
            print(f"pid {pid} asks for {seconds:.2f} s")
    for waking in bpf["wakings"].values():
        if waking.pid == child.pid:
            print(f"pid {waking.pid} wakes up, returned {waking.ret}")


main()
