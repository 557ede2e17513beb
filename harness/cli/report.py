"""`workbook report`: the learner's progress as a page to keep, or to show to friends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from harness.cli.shared import out, root
from harness.course import catalog, files

app = typer.Typer()


@app.command()
def report(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="by default report.html in the folder .workbook")
    ] = None,
) -> None:
    """Write your progress as one HTML page that needs nothing else: steps, verdicts, hints, the pictures you made."""
    from harness.learner import htmlreport, progress

    target = output or progress.folder(root()) / "report.html"
    text = htmlreport.page(catalog.lessons(root()), time.strftime("%Y-%m-%d"))
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write(target, text.encode())
    out().print(Text(str(target)))
