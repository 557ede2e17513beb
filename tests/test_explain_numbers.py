"""The kernel's error number, by whatever name a tool prints it."""

import pytest

from harness.explain import numbers
from harness.explain.evidence import of_log
from harness.explain.explanation import explain


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("bpf: Failed to load program: Permission denied", "EACCES"),
        ("load program: permission denied: 7: (61) r3 = *(u32 *)(r2 +16)", "EACCES"),
        ("Couldn't attach XDP program on iface 'eth1': Cannot allocate memory(-12)", "ENOMEM"),
        ("Operation not permitted (os error 1)", "EPERM"),
        ("libbpf: failed to load object: -22", "EINVAL"),
        ("failed to attach: ERROR: strerror_r(-524)=22", "ENOTSUPP"),
        ("attach: Unknown error 524", "ENOTSUPP"),
        ("Operation not supported", "EOPNOTSUPP"),
        ("OSError: [Errno 16] Device or resource busy", "EBUSY"),
        ("bpf() = -1 E2BIG", "E2BIG"),
        ("Prog section 'tc' rejected: Permission denied (13)!", "EACCES"),
        ("12 probes attached in 3 ms", ""),
        ("7: (61) r3 = *(u32 *)(r2 +16)", ""),
    ],
)
def test_a_number_is_read_in_each_of_its_forms(line, name):
    assert numbers.name(line) == name


def test_eacces_from_loading_is_no_missing_right():
    found = explain(of_log("libbpf: prog 'f': BPF program load failed: Permission denied\n"))
    assert found.rule == "refused"
    assert "not a missing right" in found.cause


def test_eperm_from_loading_is_one():
    found = explain(of_log("libbpf: prog 'f': BPF program load failed: Operation not permitted\n"))
    assert found.rule == "permission"
