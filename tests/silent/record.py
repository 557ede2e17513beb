"""Runs scripts in the lab, keeps what was gathered of each: `python tests/silent/record.py FOLDER SECONDS SCRIPT…`."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from harness.cli.options import opened
from harness.errors import GuestLost
from harness.learner import diagnosis
from harness.protocol import codec


def main():
    folder, seconds, *names = sys.argv[1:]
    kept = []

    def keep(found, files):
        kept.append(found)
        return of_gathered(found, files)

    of_gathered, diagnosis.of_gathered = diagnosis.of_gathered, keep
    paths = [Path(name).absolute() for name in names]
    begin = time.monotonic()
    for path, evidence in zip(paths, diagnosis.gather(opened("vm"), paths, float(seconds)), strict=True):
        if isinstance(evidence, GuestLost):
            print(f"{path.name}: {evidence}", file=sys.stderr)
            continue
        found = replace(kept[-1], file=f"/silent/{path.name}", rewritten="", lines=())
        text = json.dumps(codec.plain(found), indent=1) + "\n"
        Path(folder, f"{path.stem}.json").write_text(text.replace(str(path.parent), "/silent"))
        print(f"{path.name}: {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
        begin = time.monotonic()


if __name__ == "__main__":
    main()
