"""What the lab gathered of programs, kept in tests/evidence for tests that need no guest.

`python tests/recorded.py KIND [FILE…]` runs files of a kind in one guest and writes tests/evidence/KIND: those named,
else those of which nothing is kept. Kinds: `silent`, `explain` (the folders of that name), and `solutions`.
"""

import json
import os
import random
import sys
import time
import tomllib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from harness.cli.options import opened
from harness.errors import GuestLost
from harness.explain.evidence import of_gathered
from harness.explain.explanation import explain
from harness.learner import diagnosis
from harness.protocol import codec
from harness.protocol.facts import Gathered
from harness.protocol.shorten import shortened

HERE = Path(__file__).parent
EVIDENCE = HERE / "evidence"
SECONDS = 1
"""For which a script is watched."""
LOG_KEPT = 20_000
"""Characters of a log that are kept: what an explanation needs is near its ends."""


def files_of(kind):
    """The files of a kind, as paths."""
    if kind == "solutions":
        return sorted((HERE.parent / "solutions").glob("*/*.bpf.c"))
    if kind == "explain":
        return [
            HERE / kind / one["file"] for one in tomllib.loads((HERE / kind / "corpus.toml").read_text())["program"]
        ]
    return sorted((HERE / kind).glob("*.py"))


def drawn(entries, count):
    """`count` entries by chance; EXPLAIN_SEED, which is printed, draws the same again."""
    seed = os.environ.get("EXPLAIN_SEED") or str(random.randrange(10**6))
    print(f"EXPLAIN_SEED={seed}")
    return random.Random(seed).sample([*entries], count)


def gathered(paths, seconds=SECONDS, arguments=()):
    """What the lab gathers of each program; they all run in one guest."""
    with closing(diagnosis.gather(opened("vm"), paths, diagnosis.around(paths), seconds, arguments)) as found:
        for one in found:
            if isinstance(one, GuestLost):
                raise one
            yield one


def said(found, path):
    """What is said of a program in `path`, of which the lab gathered `found`."""
    return explain(of_gathered(found, diagnosis.decoded(diagnosis.around([path]))))


def keep(found, kind):
    """Write what was gathered, without where it was, and without texts that the explanation does not look at."""
    path = Path(found.file)
    short = {name: shortened(getattr(found, name), LOG_KEPT) for name in ("log", "text")} | {"source": ""}
    if not found.status:
        short |= {"rewritten": "", "lines": ()}
    kept(path, kind).parent.mkdir(exist_ok=True)
    kept(path, kind).write_text(written(replace(found, **short)).replace(str(path.parent), f"/{kind}"))


def kept(path, kind):
    """Where the evidence of a program is."""
    return EVIDENCE / kind / f"{path.name}.json"


def written(found):
    """JSON with a line for each field."""
    rows = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in codec.plain(found).items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def recall(path, kind):
    """The explanation of the program in `path` from what was kept."""
    text = kept(path, kind).read_text()
    return said(codec.build(Gathered, json.loads(text.replace(f"/{kind}/", f"{path.parent}/"))), path)


def main():
    kind, names = sys.argv[1], sys.argv[2:]
    paths = [path for path in files_of(kind) if (path.name in names if names else not kept(path, kind).exists())]
    begin = time.monotonic()
    for path, found in zip(paths, gathered(paths), strict=True):
        keep(found, kind)
        one = said(found, path)
        print(f"{path.name}: {one.rule or one.kind}, line {one.line}, {time.monotonic() - begin:.1f} s", flush=True)
        begin = time.monotonic()


if __name__ == "__main__":
    main()
