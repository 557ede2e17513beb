"""Your test of lesson 07: in what order do the functions of a stack come?"""

import subprocess

import pytest

HZ = 197


@pytest.fixture(scope="module")
def bpf(loader):
    """The compiled program."""
    bpf = loader.load()
    yield bpf
    bpf.cleanup()


@pytest.fixture
def busy(loader, bpf, native):
    """The pid of a process that was sampled while main called work, work called heavy or light, and those called burn.

    It has finished its work and waits, so that its functions can be looked up. Other names may come before main.
    """
    with subprocess.Popen([native("shares.c"), "work", "307"], stdin=-1, stdout=-1, text=True) as process:
        process.stdout.readline()
        loader.choose(bpf, process.pid)
        loader.attach(bpf, HZ)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.step(4)
def test_functions_go_from_the_outermost_inwards(loader, bpf, busy):
    # TODO 4: busy has stacks with main and burn, and in each, main comes before burn
    stacks = [
        loader.functions(bpf, sample.user, lambda address: bpf.sym(address, busy)) for sample in loader.samples(bpf)
    ]
    deep = [names for names in stacks if "main" in names and "burn" in names]
    assert deep, f"none of {len(stacks)} stacks has both main and burn"
    for names in deep:
        assert names.index("main") < names.index("burn"), f"main calls burn, so it comes first; a stack has {names}"
    # end of TODO 4
