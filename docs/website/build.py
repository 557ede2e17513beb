"""One build: stage the sources, run Sphinx, read what was built. The site is replaced only by one without a fault."""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from sphinx.application import Sphinx

from website import built, stage

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
HERE = Path(__file__).resolve().parent


def main(root: Path, to: Path) -> int:
    """Build `root`'s site into the folder `to`; 1 where a page is at fault, each named on standard error."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="workbook-docs-") as folder:
        source, site = Path(folder) / "docs", Path(folder) / "site"
        faults = stage.stage(root, source)
        faults += sphinx(source, site, Path(folder) / "doctrees", root)
        faults += built.faults(site)
        if faults:
            told = list(dict.fromkeys(faults))
            print(*told, sep="\n", file=sys.stderr)
            print(f"docs: {len(told)} fault{'s' * (len(told) > 1)}, no site was written", file=sys.stderr)
            return 1
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(site, to)
    pages = len(list(to.glob("*.html")))
    print(f"{pages} pages in {time.monotonic() - began:.1f} s; open {to / 'index.html'}")
    return 0


def sphinx(source: Path, site: Path, doctrees: Path, root: Path) -> list[str]:
    """Run Sphinx from nothing, so that each warning shows again; the warnings."""
    said = io.StringIO()
    options = {"workbook_root": str(root)}
    Sphinx(source, HERE, site, doctrees, "html", options, status=None, warning=said, freshenv=True).build()
    text = ESCAPES.sub("", said.getvalue()).replace(f"{source}/", "docs/")
    text = text.replace("[toc.not_included]", "[toc.not_included]; next: name it in docs/website/stage.py")
    return [line for line in text.splitlines() if line.strip()]
