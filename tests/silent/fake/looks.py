"""Runs a script under the fake BCC beside this file; prints what it held each time that it was looked at, as JSON."""

import json
import sys
from pathlib import Path

from harness.guest.observing import gather
from harness.protocol.facts import Activity, Script

HELD, OPENED = [], []


class Observer:
    """In place of the kernel's: looks whether the script still has its file open."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """Nothing was set up."""

    def facts(self, pid, record, before=""):
        names = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        OPENED.append(record.get("opened"))
        HELD.append(any(name.endswith("held") for name in names))
        return Activity(counted=True, programs=(), script=Script())


def main():
    gather.activity.Observer, gather.activity.observable = Observer, lambda: True
    gather._stir = lambda: None
    found = gather.of_script(Path(sys.argv[1]), float(sys.argv[2]))
    script = found.activity and found.activity.script
    readers = [one.reader for one in script.layouts] if script else []
    calls = {one.what: [one.line, one.count] for one in script.calls} if script else {}
    said = {"held": HELD, "status": found.status, "ended": bool(script and script.ended), "calls": calls}
    said |= {"readers": readers, "opened": OPENED}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
