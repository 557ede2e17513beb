"""What the lab gathered of programs, kept in tests/evidence for tests that need no guest.

`python tests/recorded.py KIND [FILE…]` runs files of a kind in one guest and writes tests/evidence/KIND: those named,
else those of which nothing is kept. The kinds: `silent` and `explain`, the folders of that name; `solutions`; `tools`,
Debian's BCC tools; `tried`, the changes that are advised of `explain` and `silent`, each made in a copy.
"""

import base64
import hashlib
import json
import os
import random
import re
import sys
import time
import tomllib
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cli.options import opened
from harness.errors import GuestLost
from harness.explain.evidence import of_gathered
from harness.explain.explanation import explain
from harness.learner import diagnosis, trying
from harness.protocol import codec
from harness.protocol.facts import Gathered
from harness.protocol.shorten import shortened

HERE = Path(__file__).parent
EVIDENCE = HERE / "evidence"
SECONDS = float(os.environ.get("EXPLAIN_SECONDS", "4"))
"""For which a script is watched; a busy machine needs more."""
NEED_FLAGS = ("ring_buffer.bpf.c",)
"""Solutions that do not compile alone: their loader passes a macro to the compiler."""
LOG_KEPT = 20_000
"""Characters of a log that are kept: what an explanation needs is near its ends."""


def files_of(kind):
    """The files of a kind, as paths."""
    if kind == "solutions":
        found = sorted((HERE.parent / "solutions").glob("*/*.bpf.c"))
        return [path for path in found if path.name not in NEED_FLAGS]
    if kind == "explain":
        return [
            HERE / kind / one["file"] for one in tomllib.loads((HERE / kind / "corpus.toml").read_text())["program"]
        ]
    return sorted((HERE / kind).glob("*.py"))


def drawn(paths, kind, count):
    """`count` files by chance, of those without evidence first; EXPLAIN_SEED, which is printed, draws them again."""
    seed = os.environ.get("EXPLAIN_SEED") or str(random.randrange(10**6))
    print(f"EXPLAIN_SEED={seed}")
    mixed = random.Random(seed).sample(paths, len(paths))
    return sorted(mixed, key=lambda path: kept(path, kind).exists())[:count]


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


def keep(found, kind, path, source=""):
    """Write what was gathered, without where it was, and without texts that the explanation does not look at."""
    short = {name: shortened(getattr(found, name), LOG_KEPT) for name in ("log", "text")} | {"source": source}
    if not found.status:
        short |= {"rewritten": "", "lines": ()}
    path.parent.mkdir(exist_ok=True)
    path.write_text(written(replace(found, **short)).replace(str(Path(found.file).parent), f"/{kind}"))


def kept(path, kind):
    """Where the evidence of a program is."""
    return EVIDENCE / kind / f"{path.name}.json"


def written(found):
    """JSON with a line for each field."""
    rows = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in codec.plain(found).items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def read(evidence, kind, folder):
    """What was gathered, as if it had been in `folder`."""
    return codec.build(Gathered, json.loads(evidence.read_text().replace(f"/{kind}/", f"{folder}/")))


def recall(path, kind):
    """The explanation of the program in `path` from what was kept."""
    return said(read(kept(path, kind), kind, path.parent), path)


def tried(run):
    """The programs of the corpus and the silent scripts, explained, after their changes were tried by `run`."""
    both = [(path, kind) for kind in ("explain", "silent") for path in files_of(kind) if kept(path, kind).exists()]
    found, paths = [recall(*one) for one in both], [path for path, _ in both]
    say = lambda after, copies: explain(of_gathered(after, diagnosis.decoded(copies)))  # noqa: E731
    return dict(zip(paths, trying.tried(found, paths, diagnosis.around(paths), run, say), strict=True))


def in_the_lab(programs, copies):
    """Run copies in one guest, and keep what was gathered; what was kept of the same change stands."""
    left = [one for one in programs if not is_tried(one, copies)]
    sent = {path: text for path, text in copies.items() if path.parent in {one.parent for one in left}}
    for program, one in zip(left, diagnosis.gather(opened("vm"), left, sent, SECONDS) if left else (), strict=True):
        if isinstance(one, GuestLost):
            raise one
        keep(one, "tried", kept_trial(program, copies), digest(program, copies))
    return from_evidence(programs, copies)


def is_tried(program, copies):
    """Whether the evidence of a copy is kept."""
    path = kept_trial(program, copies)
    return path.exists() and read(path, "tried", program.parent).source == digest(program, copies)


def from_evidence(programs, copies):
    """The same from what was kept, GuestLost for a copy that was not run yet.

    AssertionError where a change is another than the one that was tried.
    """
    found = []
    for program in programs:
        if not kept_trial(program, copies).exists():
            found.append(GuestLost("not tried yet"))
            continue
        one = read(kept_trial(program, copies), "tried", program.parent)
        assert one.source == digest(program, copies), f"{program.name}: PYTHONPATH=tests python tests/recorded.py tried"
        found.append(replace(one, source=""))
    return found


def kept_trial(program, copies):
    """Where the evidence of a copy is: those of one program are numbered."""
    number = sum(path.name == program.name and int(path.parent.name) < int(program.parent.name) for path in copies)
    return EVIDENCE / "tried" / f"{program.name}.{number}.json"


def digest(program, copies):
    """Of all files that travel with a copy."""
    mine = sorted((path.name, text) for path, text in copies.items() if path.parent == program.parent)
    return hashlib.sha256(repr(mine).encode()).hexdigest()


TOOLS = """
import base64, glob, json, zlib
texts = {name: open(name, errors="replace").read() for name in glob.glob("/usr/sbin/*-bpfcc")}
found = {name: text for name, text in texts.items() if "python" in text.partition("\\n")[0]}
print(base64.b85encode(zlib.compress(json.dumps(found).encode())).decode())
"""
LARGE = re.compile(r"#include <(?:net/|linux/(?:blk|fs|mm|sched|bio|sock|skb|nfs|dcache|tcp)|bcc/proto)")
"""Headers that take long to compile under emulation: tools with many of them come last."""
NEED_FUNCTION = ("funccount", "funclatency", "funcslower", "funcinterval", "stackcount", "trace")
"""Tools that are given the name of a kernel function; others run as they are."""


def tools(folder):
    """Copies of Debian's BCC tools that are in the lab, made in `folder`, in groups with their arguments."""
    with opened("vm").open() as guest:
        out = guest.run(["python3", "-c", TOOLS]).out
    paths = []
    for name, text in json.loads(zlib.decompress(base64.b85decode(out.strip()))).items():
        paths.append(folder / f"{Path(name).name.removesuffix('-bpfcc')}.py")
        paths[-1].write_text(text)
    paths.sort(key=lambda path: (len(LARGE.findall(path.read_text())), path.name))
    need = [path for path in paths if path.stem in NEED_FUNCTION]
    return (need, ("vfs_read",)), ([path for path in paths if path not in need], ())


def facts(found):
    """What was gathered of a tool without any text of its own: what the kernel and BCC said of it."""
    return replace(found, text="", source="", rewritten="", lines=(), frames=(), message="")


def record_tools(names):
    """Run the tools of which nothing is kept, and keep the facts; print what is said of each with its text at hand."""
    with TemporaryDirectory() as folder:
        for paths, arguments in tools(Path(folder)):
            paths = [path for path in paths if (path.stem in names if names else not kept(path, "tools").exists())]
            for path, found in zip(paths, gathered(paths, SECONDS, arguments) if paths else (), strict=True):
                one = said(found, path)
                print(f"{path.stem}: {one.rule or one.kind}, {one.cause or found.message}", flush=True)
                keep(facts(found), "tools", kept(path, "tools"), one.rule or one.kind)


def main():
    kind, names = sys.argv[1], sys.argv[2:]
    if kind == "tools":
        return record_tools(names)
    if kind == "tried":
        for path, one in tried(in_the_lab).items():
            if one.tried:
                print(f"{path.name}: {one.rule}: {one.tried}")
        return None
    paths = [path for path in files_of(kind) if (path.name in names if names else not kept(path, kind).exists())]
    begin = time.monotonic()
    for path, found in zip(paths, gathered(paths), strict=True):
        keep(found, kind, kept(path, kind))
        one = said(found, path)
        print(f"{path.name}: {one.rule or one.kind}, line {one.line}, {time.monotonic() - begin:.1f} s", flush=True)
        begin = time.monotonic()


if __name__ == "__main__":
    main()
