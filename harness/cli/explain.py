"""`workbook explain`: what is wrong with a program, or what a log says, in plain English."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Json, opened, show, show_json
from harness.errors import LabError, UsageError

if TYPE_CHECKING:
    from harness.explain.explanation import Explanation

app = typer.Typer()


@app.command()
def explain(
    files: Annotated[
        list[str], typer.Argument(help="a log, - for standard input, a .bpf.c file, or a BCC script", metavar="FILE...")
    ],
    seconds: Annotated[float, typer.Option(help="how long a script runs in the lab")] = 10,
    args: Annotated[str, typer.Option(help="the script's arguments, as one string: --args '-p 42'")] = "",
    as_json: Json = False,
) -> None:
    """Explain why a program fails: cause, line, what to try.

    Reads any log of the verifier or of BCC (- for standard input). A .bpf.c file is loaded
    in the lab, a BCC script (.py) runs there.

    Exits 0 if nothing is wrong, 1 if something is, 3 if a program crashed the lab.
    """
    from harness.explain import show as shown
    from harness.learner import diagnosis

    try:
        arguments = shlex.split(args)
    except ValueError as error:
        raise UsageError(f"--args {args}: {error}", remedy="workbook explain --help") from error
    kinds = set()
    for name, found in diagnosis.all_of(files, lambda: opened("vm"), seconds, arguments):
        kinds.add(found.kind)
        if as_json:
            show_json(found.data(name))
        else:
            _print(name, found, shown.place(found, Path.cwd()), shown.body(found))
    raise typer.Exit(LabError.exit_code if "lab" in kinds else 1 if kinds - {"ok"} else 0)


def _print(name: str, found: Explanation, place: str, body: str) -> None:
    if found.kind == "ok":
        show(f"{name}: nothing is wrong that the lab can see", style="green")
        if found.cause:
            show(f"    {found.cause}")
        return
    show(f"{place or name}  {found.rule or 'unknown'} ({found.kind})", style="bold")
    show("    " + body.replace("\n", "\n    "))
    show("\nthe whole log:", style="dim")
    show(found.log, style="dim")
    show("")
