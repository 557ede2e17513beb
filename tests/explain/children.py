"""Count new processes: python3 children.py"""

from pathlib import Path

from bcc import BPF

SOURCE = Path(__file__).with_name("children.bpf.c")
FUNCTION = b"kernel_clon"


def main() -> None:
    bpf = BPF(src_file=str(SOURCE))
    bpf.attach_kprobe(event=FUNCTION, fn_name=b"on_clone")
    print("counting; Ctrl-C ends")
    bpf.trace_print()


if __name__ == "__main__":
    main()
