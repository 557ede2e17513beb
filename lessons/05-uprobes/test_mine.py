"""Your test of lesson 05: you write it before the code that it asks for."""

import subprocess

import pytest


@pytest.fixture(scope="module")
def compiled(loader):
    """The program, and the list that its calls go to."""
    bpf, calls = loader.load(), []
    loader.listen(bpf, calls.append)
    yield bpf, calls
    bpf.cleanup()


@pytest.fixture
def bpf(compiled):
    """The program, compiled, not attached. bpf.perf_buffer_consume() moves what the kernel has sent into `calls`."""
    return compiled[0]


@pytest.fixture
def calls(compiled):
    """The calls reported so far, each a loader.Call."""
    yield compiled[1]
    assert compiled[1], "your test saw no call at all: attach before finish(child), consume after it"


@pytest.fixture
def child(native):
    """search.c with two threads: it waits until finish() lets it call bsearch, once in each thread."""
    program = native("search.c")
    with subprocess.Popen([program, "threads"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n", "search.c exited before it printed ready"
        yield process
        process.kill()


def finish(child):
    """Run it to its end: each call's key -> (ns slept inside, ns its caller measured); its latency is between them."""
    lines, _ = child.communicate("\n")
    return {key: (int(slept), int(measured)) for key, slept, measured in map(str.split, lines.splitlines())}


@pytest.mark.step(3)
def test_two_threads_keep_their_latencies_apart(loader, bpf, calls, child):
    raise NotImplementedError("TODO 3: probe bsearch, finish, consume; each key came once, its latency in its bounds")
