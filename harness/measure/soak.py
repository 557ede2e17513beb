"""The lab under stress: many restores in a row, each with forks and a compile, on busy cores. Nothing is retried."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.errors import GuestLost
from harness.guest.agent.warmup import COMPILE
from harness.lab.saved import SavedGuest
from harness.lab.virtual import VirtualLab

SCRIPT = f"""\
set -e
for round in $(seq 60); do
    seq 200 | sort -rn | awk '{{ sum += $1 }} END {{ if (sum != 20100) exit 1 }}'
done
for start in 1 2 3 4 5 6; do
    python3 -c 'import json, os, random; assert os.fork() or not os._exit(0)'
done
cat > /tmp/compile.py <<'END'
{COMPILE}
END
python3 /tmp/compile.py > /dev/null
dmesg
"""
FAULTS = re.compile(r"traps:|general protection|BUG:|Oops:|Kernel panic|corruption|segfault|soft lockup|Call Trace")
DEADLINE_S = 600


@dataclass(frozen=True)
class Round:
    """One restored guest; `fault` is empty where nothing went wrong."""

    number: int
    seconds: float
    fault: str


def soak(guest: SavedGuest, rounds: int, side_by_side: int, say: Callable[[Round], None]) -> list[Round]:
    """Restore `rounds` guests, `side_by_side` at a time, and put each under stress; returns all rounds."""
    done = []
    with ThreadPoolExecutor(side_by_side) as pool:
        for one in pool.map(lambda number: _round(guest, number), range(1, rounds + 1)):
            say(one)
            done.append(one)
    return done


def _round(guest: SavedGuest, number: int) -> Round:
    lab, begin = VirtualLab(guest), time.monotonic()
    try:
        with lab.open() as machine:
            machine.put({Path("/tmp/soak.sh"): SCRIPT.encode()})
            done = machine.run(["bash", "/tmp/soak.sh"], timeout_s=DEADLINE_S)
    except GuestLost as lost:
        return Round(number, time.monotonic() - begin, f"{lost}\n{lost.console}")
    finally:
        lab.close()
    bad = [line for line in done.out.splitlines() if FAULTS.search(line)]
    if done.status != 0:
        bad.append(f"exit status {done.status}: {done.err.strip()[-500:]}")
    return Round(number, time.monotonic() - begin, "\n".join(bad))
