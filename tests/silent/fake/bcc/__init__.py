"""As much of BCC as a script needs in order to end: no kernel is asked."""

import atexit
import time
from types import SimpleNamespace

lib = SimpleNamespace(
    bcc_func_load=lambda *args: -1,
    bpf_module_create_c_from_string=lambda *args: 1,
    bpf_attach_xdp=lambda *args: 0,
    bpf_num_tables=lambda module: 0,
    bpf_table_name=SimpleNamespace(),
)


SLOW_S = 0.0


class BPF:
    """Something that is compiled, attached and cleaned up."""

    def __init__(self, src_file=b"", text=""):
        self.funcs = {"program": 3}
        atexit.register(self.cleanup)
        lib.bpf_module_create_c_from_string(text.encode(), 0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.cleanup()

    def get_table(self, name):
        raise KeyError(name)

    def attach_kprobe(self, event=b"", fn_name=b""):
        """Nothing is attached, and that takes a while if the script wants it so."""
        time.sleep(SLOW_S)

    attach_kretprobe = attach_uprobe = attach_uretprobe = attach_tracepoint = attach_raw_tracepoint = attach_kprobe
    attach_perf_event = attach_kfunc = attach_kretfunc = attach_lsm = attach_kprobe

    def perf_buffer_poll(self, timeout=-1):
        """Nothing comes."""

    perf_buffer_consume = ring_buffer_poll = ring_buffer_consume = trace_readline = perf_buffer_poll

    def cleanup(self):
        self.funcs.clear()
