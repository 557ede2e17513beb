"""The soak sees a fault where there is one."""

import pytest

from harness.measure.soak import FAULTS


@pytest.mark.parametrize(
    "line",
    [
        "[   23.1] traps: python3[812] general protection fault ip:7f1 sp:7f2 error:0 in ld.so",
        "[   23.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        "[   23.1] list_del corruption. prev->next should be ffff8881",
        "[   23.1] BUG: unable to handle page fault for address: ffff",
    ],
)
def test_a_fault_is_seen(line):
    assert FAULTS.search(line)


def test_the_kernels_command_line_is_none():
    assert not FAULTS.search("[    0.0] Command line: console=ttyS0 quiet panic=-1 oops=panic")
