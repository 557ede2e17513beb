"""`workbook compare`: your code and the reference under the same tests, in numbers."""

from __future__ import annotations

import json
import random
from typing import Annotated

import typer

from harness.cli.shared import Json, LessonName, err, opened, out, pick
from harness.screen import working

app = typer.Typer()


@app.command()
def compare(
    lesson: LessonName,
    seed: Annotated[int | None, typer.Option(help="replay a run's random names")] = None,
    as_json: Json = False,
) -> None:
    """Your code beside the reference, under the same tests: verdicts, instructions, stack, memory, time, lost events.

    It shows numbers, no code, so it spoils nothing. `events` are the program's runs in all tests; times in the
    lab are those of its emulated processor: compare them with each other only. Exits 1 while a step is not done.
    """
    from harness.learner import compare as comparing

    chosen = pick(lesson)
    used = seed if seed is not None else random.SystemRandom().randrange(1, 1_000_000)
    where = opened("vm")
    try:
        with working(err(), f"comparing {chosen.name}", log=True) as say:
            mine, reference = comparing.compare(where, chosen, used, say)
    finally:
        where.close()
    if as_json:
        sides = {"yours": comparing.data(mine), "reference": comparing.data(reference)}
        typer.echo(json.dumps({"lesson": chosen.name, "seed": used} | sides))
    else:
        comparing.show(chosen, mine, reference, out())
    raise typer.Exit(0 if comparing.done([mine, reference]) else 1)
