"""Who logs in? Watches a function of the library for it."""

from pathlib import Path

from bcc import BPF

bpf = BPF(src_file=str(Path(__file__).with_name("sessions.bpf.c")))
bpf.attach_uretprobe(name="pamm", sym="pam_authenticate", fn_name="on_login")
bpf.trace_print()
