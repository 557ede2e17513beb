"""Two transcripts of one command are the same when they differ only in what may differ between runs."""

import pytest

from harness.authoring.transcripts import same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hello from pid=812 comm=ls", "hello from pid=90311 comm=ls"),
        ("PID 812 slept, tid: 7", "PID 9 slept, tid: 1812"),
        ("took 12.5 s", "took 9.25 s"),
        ("stack at 0xffffffff81000000", "stack at 0xdeadbeef"),
        ("   COMM    PID  CALLS\n   ls      812     23", "   COMM    PID  CALLS\n   ls    90311     23"),
        ("  PID COMM\n  812 Web Content\n 1812 ls", "  PID COMM\n   99 Web Content\n    1 ls"),
        ("LAT(us)  COMM\n    812  ls", "LAT(us)  COMM\n     9  ls"),
        ("COMM  latency (us)\nls    1,812", "COMM  latency (us)\nls    12"),
        ("cat  3  /lib/x86_64-linux-gnu/libc.so.6", "cat  3  /lib/aarch64-linux-gnu/libc.so.6"),
        ("Linux 6.12.118+deb13-cloud-amd64", "Linux 5.10.0-32-cloud-arm64"),
        ("Lesson 01 · Hello", "Lesson 01 · Hello (on Linux 6.1, aarch64)"),
    ],
)
def test_what_may_differ_between_two_runs_is_no_difference(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hello from pid=812 comm=ls", "hello from pid=812 comm=cat"),
        ("23 calls", "22 calls"),
        ("   COMM    PID  CALLS\n   ls      812     23", "   COMM    PID  CALLS\n   ls      812     22"),
        ("PID  COMM\n812  ls", "PID  COMM"),
        ("PID  COMM\n812  ls\n\n23 calls", "PID  COMM\n812  ls\n\n22 calls"),
        ("a  b", "a b"),
        ("Linux 6.12.118", "Linux 6.12.119"),
        ("arm64 x86_64", "arm64 aarch64"),
        ("/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6"),
    ],
)
def test_everything_else_is_a_difference(one, other):
    assert not same(one, other)


def test_a_page_names_what_else_varies():
    assert same("at lab-1 of 3", "at lab-77 of 3", varies=["lab-[0-9]+"])
    assert not same("at lab-1 of 3", "at lab-77 of 4", varies=["lab-[0-9]+"])


def test_what_varies_may_span_lines():
    histogram = r"(?:^ +\d+ -> \d+ .*\n)+"
    assert same("usecs\n 1 -> 2 : 7\n 3 -> 4 : 9\nend", "usecs\n 1 -> 2 : 3\nend", varies=[histogram])
