"""Runs scripts in the lab and keeps what was gathered of each, for tests that need no guest.

`python tests/silent/record.py SCRIPT…` writes tests/evidence/silent/SCRIPT.json; as `explained` a test runs them.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from harness.cli.options import opened
from harness.errors import GuestLost
from harness.explain.evidence import of_gathered
from harness.explain.explanation import explain
from harness.learner import diagnosis
from harness.protocol import codec

KEPT = Path(__file__).parents[1] / "evidence/silent"


def explained(paths, seconds, keep=lambda found: None):
    """Each script's name with its explanation; all run in one guest. `keep` is given what was gathered."""
    gathered = []

    def noted(found, files):
        gathered.append(found)
        return of_gathered(found, files)

    before, diagnosis.of_gathered = diagnosis.of_gathered, noted
    try:
        for path, evidence in zip(paths, diagnosis.gather(opened("vm"), paths, seconds), strict=True):
            if isinstance(evidence, GuestLost):
                raise evidence
            keep(gathered[-1])
            yield path.stem, explain(evidence)
    finally:
        diagnosis.of_gathered = before


def kept(found):
    """Write what was gathered, without what no cause needs and where it was."""
    path = Path(found.file)
    found = replace(found, file=f"/silent/{path.name}", rewritten="", lines=())
    text = json.dumps(codec.plain(found), indent=1) + "\n"
    (KEPT / f"{path.stem}.json").write_text(text.replace(str(path.parent), "/silent"))


def main():
    KEPT.mkdir(exist_ok=True)
    paths = [Path(name).absolute() for name in sys.argv[1:]]
    begin = time.monotonic()
    for name, found in explained(paths, 1, kept):
        print(f"{name}: {found.rule or found.kind}, line {found.line}, {time.monotonic() - begin:.1f} s", flush=True)
        begin = time.monotonic()


if __name__ == "__main__":
    main()
