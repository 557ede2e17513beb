"""`make docs`: the site in build/site, or each fault with its page and line, and exit code 1."""

import argparse
import sys
from pathlib import Path

from harness.errors import WorkbookError
from website import build

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make docs", description="Build the pages as a static site.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to read")
    parser.add_argument("--to", type=Path, default=None, help="the folder to write (build/site)")
    given = parser.parse_args()
    try:
        sys.exit(build.main(given.root.resolve(), (given.to or given.root / "build/site").resolve()))
    except WorkbookError as error:
        print(f"docs: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
