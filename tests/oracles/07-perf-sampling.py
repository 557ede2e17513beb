"""The reference against `perf record -e cpu-clock` (tools/perf, Linux 6.12), on the same run of the same program."""

import math
import subprocess

import pytest

HZ = 199
MS = "1499"
SHARES = "../../lessons/07-perf-sampling/shares.c"


@pytest.fixture(scope="module")
def bpf(loader):
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def both(loader, bpf, native, tmp_path):
    """Function → its samples by us and by perf, of one run in which main called heavy and light, 3:1."""
    data = tmp_path / "perf.data"
    perf = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HZ), "-g", "-o", data, native(SHARES), "work", MS]
    with subprocess.Popen(perf, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            pid = int(children.read())
        loader.choose(bpf, pid)
        loader.attach(bpf, HZ)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        ours = loader.folded(bpf)
        process.stdin.write("\n")
        process.stdin.flush()
    script = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], capture_output=True, text=True, check=True)
    theirs = [block.split() for block in script.stdout.split("\n\n")]
    return {
        name: (
            sum(count for line, count in ours.items() if name in line.split(";")),
            sum(name in words for words in theirs),
        )
        for name in ("heavy", "light")
    }


def test_samples_are_as_many_as_those_of_perf(both):
    ours, theirs = (sum(pair) for pair in zip(*both.values(), strict=True))
    print(f"samples in heavy and light: reference {ours}, perf {theirs}")
    # Two clocks of one frequency over one time: both counts vary as counts do, their difference by the sum of both.
    assert abs(ours - theirs) <= 5 * math.sqrt(ours + theirs)


def test_shares_are_those_of_perf(both):
    (ours_heavy, theirs_heavy), (ours_light, theirs_light) = both["heavy"], both["light"]
    ours, theirs = ours_heavy / (ours_heavy + ours_light), theirs_heavy / (theirs_heavy + theirs_light)
    print(f"share of heavy: reference {ours:.3f}, perf {theirs:.3f}")
    # Five standard deviations of the difference of two shares, each estimated from its own samples.
    variance = theirs * (1 - theirs) * (1 / (ours_heavy + ours_light) + 1 / (theirs_heavy + theirs_light))
    assert abs(ours - theirs) <= 5 * math.sqrt(variance)
