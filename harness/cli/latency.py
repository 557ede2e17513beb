"""`workbook lab latency`: what a learner waits for after a save."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from harness.cli.shared import Json, err, out, pick
from harness.screen import telling


def lab_latency(
    lesson: Annotated[str, typer.Argument(help="whose reference is saved", metavar="[LESSON]")] = "01",
    saves: Annotated[int, typer.Option(help="how many")] = 20,
    as_json: Json = False,
) -> None:
    """Medians from a save to its verdict in watch mode, and of the compile and the tests within that."""
    from harness.lab import saved
    from harness.lab.virtual import VirtualLab
    from harness.measure import latency

    with telling(err()) as say:
        lab = VirtualLab(saved.ensure(say))
        try:
            waits = latency.measure(lab, pick(lesson), saves, say)
        finally:
            lab.close()
    figures = {
        "save to verdict": [wait.to_verdict for wait in waits],
        "compile and tests": [wait.in_guest for wait in waits],
        "the harness": [wait.more for wait in waits],
    }
    if as_json:
        typer.echo(json.dumps([asdict(wait) for wait in waits]))
        return
    for name, seconds in figures.items():
        middle = statistics.median(seconds)
        out().print(Text(f"{name:<18} {middle:6.2f} s  ({min(seconds):6.2f} to {max(seconds):6.2f})"))
