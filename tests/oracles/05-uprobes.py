"""Lesson 05 against ltrace, which sets its breakpoints by ptrace, and against Python's own audit hooks."""

import json
import os
import subprocess
from collections import Counter
from contextlib import contextmanager

import pytest

CALLS = "../../lessons/05-uprobes/calls.c"
SEARCH = "../../lessons/05-uprobes/search.c"
IMPORTS = """
import collections, json, os, sys
names = []
sys.addaudithook(lambda name, arguments: names.append(name))
print("ready", flush=True)
sys.stdin.readline()
names.clear()
import wave, zipapp
open("/etc/hostname").close()
seen = collections.Counter(names)
print(json.dumps(seen), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def compiled(loader):
    bpf, calls = loader.load(), []
    loader.listen(bpf, calls.append)
    yield bpf, calls
    bpf.cleanup()


@contextmanager
def waiting(*argv):
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def by_ltrace(function, *argv):
    """What ltrace prints of each return of libc's `function`, in a separate run: two breakpoints in one place clash.

    -L leaves out the calls through the program's own table, -x sets a breakpoint on the function itself.
    """
    ltrace = ["ltrace", "-f", "-L", "-x", f"{function}@libc.so.6"]
    done = subprocess.run([*ltrace, *argv], input="\n", capture_output=True, text=True, check=True)
    return [line.rsplit("= ", 1)[1] for line in done.stderr.splitlines() if function in line and "= " in line]


def by_reference(loader, compiled, function, *argv):
    bpf, calls = compiled
    with waiting(*argv) as process:
        loader.attach(bpf, "c", function, process.pid)
        process.communicate("\n")
    for event in list(bpf.uprobe_fds):
        bpf.detach_uprobe_event(event)
    bpf.perf_buffer_consume()
    return [call for call in calls if call.pid == process.pid]


def test_ltrace_sees_the_same_calls_and_returns(loader, compiled, native, rng):
    # Numbers that ltrace prints in decimal; it shows the whole register, and we the int in it.
    numbers = [str(rng.randrange(-999, 1000)) for _ in range(23)]
    argv = [str(native(CALLS)), "atoi", *numbers]
    ours = [call.returned for call in by_reference(loader, compiled, "atoi", *argv)]
    theirs = [int(value, 0) for value in by_ltrace("atoi", *argv)]
    print(
        f"calls of atoi: reference {len(ours)}, ltrace {len(theirs)}; sum: reference {sum(ours)}, ltrace {sum(theirs)}"
    )
    assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize("mode", ["recursion", "threads"])
def test_ltrace_sees_the_same_number_of_searches(loader, compiled, native, mode):
    argv = [str(native(SEARCH)), mode]
    ours, theirs = len(by_reference(loader, compiled, "bsearch", *argv)), len(by_ltrace("bsearch", *argv))
    print(f"calls of bsearch, {mode}: reference {ours}, ltrace {theirs}")
    assert ours == theirs


def test_an_audit_hook_sees_the_same_events(loader):
    with waiting(os.readlink("/proc/self/exe"), "-c", IMPORTS) as process:
        bpf, context = loader.load_audit(process.pid)
        events = []
        loader.listen_audit(bpf, events.append)
        printed, _ = process.communicate("\n")
        bpf.perf_buffer_consume()
        bpf.cleanup()
        del context
    ours, theirs = Counter(event.name for event in events), Counter(json.loads(printed))
    print(f"audit events: reference {ours.total()}, a hook {theirs.total()}, of {len(theirs)} kinds")
    assert ours == theirs
