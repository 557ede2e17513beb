"""Streams of a guest, mutated at random: what becomes of each, for the readers of `verify` and of pytest's side.

`python tests/fuzz.py STREAMS REPORTS SEED…` prints the counts for each seed; tests/test_fuzz.py takes a few.
"""

import copy
import json
import random
import sys
import tempfile
import time
import types
from collections import Counter
from pathlib import Path

from labs import FakeLab, passed, small

from harness.errors import LabError
from harness.lab.channel import Output
from harness.learner import verify
from harness.protocol import codec
from harness.protocol.facts import (
    Activity,
    Attachment,
    Facts,
    Frame,
    Gathered,
    Map,
    Measured,
    Program,
    Symbols,
)  # fmt: skip
from harness.protocol.frames import Kind, encode
from harness.protocol.messages import Collected, Collecting, Exited, Warned
from harness.pytest_side.remote import RemoteRun
from harness.run import outcome
from harness.run.request import of_lesson

SPEC = """\
import pytest

@pytest.mark.step(1)
@pytest.mark.parametrize("number", [1, 2])
def test_one(loader, number):
    assert loader.act() == 23

@pytest.mark.step(2)
def test_two(loader):
    assert loader.act() == 23
"""
ODD = (
    None, True, False, 0, -1, 1e308, 1 << 63, 10**19, "", "x", "\x1b]52;c;cHduZWQ=\x07", "\ud800", "\u202e",
    "/etc/hostname", "a" * 3000,
    [], [[]], {}, [1, "x"], {"x": 1}, ["passed"], "setup", "bogus", "lessons/90-small/test_small.py::test_two",
)  # fmt: skip
TEXTS = (
    "Failed to compile BPF module x", "Failed to attach BPF program b'x' to kprobe b'y'", "assert [] == 1", "TODO 1: x",
    "0: (95) exit\nR0 !read_ok\nprocessed 1 insns", "R0=" + "9" * 5000, "(" * 3000, "R1=scalar(" + "," * 9000,
    "/virtual/main.c:1:1: error: " + "a " * 9000, "LLVM ERROR: in function x", "\n" * 9000, "NotImplementedError",
)  # fmt: skip
LOG = """0: R1=ctx() R10=fp0
; *value += 1; @ x.c:23
6: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1,map=counts,ks=4,vs=8)
7: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def lesson_in(root):
    """A lesson on disk whose second test will be told to fail."""
    for tree in ("lessons", "solutions"):
        (root / tree / "90-small").mkdir(parents=True, exist_ok=True)
    folder = root / "lessons/90-small"
    steps = '[[step]]\ntitle = "act"\n' * 2
    (folder / "lesson.toml").write_text(f'title = "Small"\ntopic = "small"\nteaches = []\nneeds = []\n{steps}')
    (folder / "test_small.py").write_text(SPEC)
    for tree in ("lessons", "solutions"):
        (root / tree / "90-small/loader.py").write_text("def act(): return 23\n")
        (root / tree / "90-small/small.bpf.c").write_text("int x;\n*value += 1;\n")
    return small(types.SimpleNamespace(root=root))


def rich(lesson):
    """Facts that have everything."""
    path, c = f"{lesson.folder()}/loader.py", f"{lesson.folder()}/small.bpf.c"
    activity = Activity(
        counted=True, programs=(Program(id=1, name="act", type=2, runs=0, maps=(3,)),), printed=1,
        attachments=(Attachment(program=1, kind="kprobe", target="__x64_sys_open"),), syscalls={"openat": 46},
        maps=(Map(id=3, name="m", type=1, entries=2, keys=(5, 6)),),
    )  # fmt: skip
    gathered = Gathered(
        file=c, path=c, status=1, stage="load", modules=1, source="int x;\n", log=LOG, errno=13, program="act",
        exception="Exception", message="Failed to load BPF program b'act': Permission denied", text=LOG,
        frames=(Frame(path=path, line=1, text="act()", name="f"),), rewritten="int x;\n*value += 1;\n", lines=((7, 2),),
        symbols=Symbols(asked=True, near=("act2",)), activity=activity,
    )  # fmt: skip
    measured = Measured(programs=activity.programs, maps=activity.maps, lost=2)
    return Facts(
        exception="Exception", message="Failed to load BPF program b'act': Permission denied",
        frames=(Frame(path=path, line=1, name="act"),), symbols=Symbols(asked=True), gathered=gathered,
        activity=activity, measured=measured,
    )  # fmt: skip


def pieces(lesson):
    """The messages of a run whose last test fails."""
    file = "lessons/90-small/test_small.py"
    one, two, last = (f"{file}::test_one[1]", f"{file}::test_one[2]", f"{file}::test_two")
    facts = rich(lesson)
    no = Facts(exception="AssertionError", message="assert 0 == 23", activity=facts.activity)
    warned = Warned(category="UserWarning", text="w", file="x", line=1, when="runtest", nodeid=one)
    return [
        Collecting(file=file), Collected(tests=(one, two, last)), *passed(one), warned,
        *passed(two, "failed", text="E   assert 0 == 23", facts=no), Output("stderr", b"printed\n"),
        *passed(last, "failed", text="Exception", facts=facts), Exited(status=1),
    ]  # fmt: skip


def framed(kind_and_value):
    kind, value = kind_and_value
    if isinstance(value, bytes):
        return encode(kind, value)
    return encode(kind, json.dumps(value).encode("utf-8", "surrogatepass"))


def plain(message):
    """A message as a kind of frame and what JSON holds."""
    if isinstance(message, Output):
        return Kind.STDERR, message.data
    kind = Kind.MESSAGE if isinstance(message, Exited) else Kind.EVENT
    return kind, json.loads(codec.dump(message))


def change(value, rng):
    """Something at random in a JSON value is another."""
    places = []

    def walk(node):
        if isinstance(node, dict | list):
            keys = list(node) if isinstance(node, dict) else range(len(node))
            for key in keys:
                places.append((node, key))
                walk(node[key])

    walk(value)
    if not places:
        return
    node, key = rng.choice(places)
    how = rng.randrange(9)
    if how == 0 and isinstance(node, dict):
        del node[key]
    elif how == 1 and isinstance(node, dict):
        node[rng.choice(["x", "step", "wasxfail", "is"])] = copy.deepcopy(rng.choice(ODD))
    elif how > 3 and (alike := [one for one in TEXTS + ODD if type(one) is type(node[key])]):
        node[key] = copy.deepcopy(rng.choice(alike))  # a fault that the types do not show
    else:
        node[key] = copy.deepcopy(rng.choice(ODD))


def mutated(messages, rng):
    """The bytes of a stream in which one to three things are wrong."""
    stream = [plain(one) for one in messages]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(stream))
        how = rng.randrange(8)
        if how == 0:
            del stream[at]
        elif how == 1:
            stream.insert(rng.randrange(len(stream) + 1), copy.deepcopy(stream[at]))
        elif how == 2:
            other = rng.randrange(len(stream))
            stream[at], stream[other] = stream[other], stream[at]
        elif not isinstance(stream[at][1], bytes):
            change(stream[at][1], rng)
        if not stream:
            return b""
    data = bytearray(b"".join(map(framed, stream)))
    if rng.random() < 0.2:
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.1:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


def of_verify(lesson, stream):
    """What `verify` makes of a stream: its exit code, or the name of what ended it."""
    asked = of_lesson(lesson, "lessons", tests=(lesson.tests,))
    try:
        results = outcome.run(FakeLab(stream), asked)
    except LabError:
        return 3
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return verify.View(lesson, outcome.by_step(lesson, results), results.unreadable).exit_code


def of_pytest(lesson, stream):
    """What pytest's side makes of it: the outcomes of the items' reports, or the name of what ended it."""
    said = types.SimpleNamespace(call_historic=lambda kwargs: None)
    option = types.SimpleNamespace(tree="lessons", seed=1, tbstyle="auto", verbose=0, showlocals=False, fulltrace=False)
    config = types.SimpleNamespace(option=option, hook=types.SimpleNamespace(pytest_warning_recorded=said))
    items = [
        types.SimpleNamespace(nodeid=f"lessons/90-small/test_small.py::{name}", path=lesson.tests, keywords={"x": 1},
                              location=("lessons/90-small/test_small.py", 3, name))
        for name in ("test_one[1]", "test_one[2]", "test_two")
    ]  # fmt: skip
    seen = set()
    run = RemoteRun(config, FakeLab(stream), lesson, items, None)
    try:
        for item in items:
            for report in run.reports(item):
                seen.add(report.outcome)
                str(report.longreprtext)
                report._to_json()
                "".join(text for _, text in report.sections).encode()
    except LabError:
        return 3
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        run.close()
    return 1 if "failed" in seen or "skipped" in seen else 0


def fuzz(count, seed, reader, facts_only=False):
    """Verdict → how many of `count` streams; the slowest one's seconds."""
    rng, found, slowest = random.Random(seed), Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        lesson = lesson_in(Path(folder))
        messages = pieces(lesson)
        for _ in range(count):
            stream = changed_facts(messages, rng) if facts_only else mutated(messages, rng)
            begin = time.process_time()
            found[reader(lesson, stream)] += 1
            slowest = max(slowest, time.process_time() - begin)
    return found, slowest


def changed_facts(messages, rng):
    """The stream, its last failing report changed in one to three places."""
    stream = [plain(one) for one in messages]
    failed = (n for n, (_, one) in enumerate(stream) if isinstance(one, dict) and one.get("outcome") == "failed")
    at = max(failed)
    for _ in range(rng.randint(1, 3)):
        change(stream[at][1]["facts"], rng)
    return b"".join(map(framed, stream))


if __name__ == "__main__":
    streams, reports, *seeds = map(int, sys.argv[1:])
    for seed in seeds:
        for name, reader in (("verify", of_verify), ("pytest", of_pytest)):
            for what, count, facts_only in (("streams", streams, False), ("reports", reports, True)):
                print(name, what, count, "seed", seed, *fuzz(count, seed, reader, facts_only), flush=True)
