"""`workbook author screens`: the pictures in docs/screens."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from harness.cli.shared import err, out, root
from harness.screen import telling


def author_screens(
    only_check: Annotated[bool, typer.Option("--check", help="compare what they say, change nothing")] = False,
) -> None:
    """Take the pictures in docs/screens anew, from real runs (one needs chromium). --check exits 1 on a difference."""
    from harness.authoring import screens
    from harness.course import files

    differ = 0
    with telling(err()) as say:
        for shot in screens.shots(root(), say):
            path = root() / shot.path
            now = screens.text_of(path.read_text()) if path.suffix == ".svg" and path.exists() else ""
            if only_check and not screens.same(now, shot.text):
                differ += 1
                out().print(Text(f"{shot.path} says something else now"))
            if not only_check:
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write(path, shot.content)
                out().print(Text(str(shot.path)))
    raise typer.Exit(1 if differ else 0)
