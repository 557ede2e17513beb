"""My test for lesson 04: events come out in the order in which they happened."""

import os
import subprocess

import pytest


@pytest.fixture
def stream(loader):
    """A Stream whose rings are open."""
    stream = loader.Stream(loader.load())
    loader.open_rings(stream)
    yield stream
    stream.bpf.cleanup()


@pytest.fixture
def hop(native, tmp_path):
    """`hop(names)`: a process becomes "hop", then a program of each name, each on another CPU; returns its pid.

    With a dozen names or more, chance does not bring the events out in order.
    """
    program = native("hop.c")

    def run(names):
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.symlink_to(program)
        cpus = str(len(os.sched_getaffinity(0)))
        process = subprocess.Popen(
            [program, *paths], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={"CPUS": cpus}
        )
        status = process.wait()
        assert status == 0, f"hop failed (exit status {status})"
        return process.pid

    return run


@pytest.mark.step(4)
def test_take_gives_the_oldest_first(loader, stream, hop):
    # TODO 4: hop, collect, take all events; assert that this process's events come in order
    names = [f"program-{n}" for n in range(23)]
    pid = hop(names)
    loader.collect(stream, lambda: True)
    taken = [event.comm for event in loader.take(stream, loader.FOREVER_NS) if event.pid == pid]
    assert taken == ["hop", *names]
    # end of TODO 4
