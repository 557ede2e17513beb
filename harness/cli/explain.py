"""`workbook explain`: what is wrong with a program, or what a log says, in plain English."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import InLab, Json, opened, root, show, show_json
from harness.errors import LabError, UsageError

if TYPE_CHECKING:
    from harness.explain.explanation import Explanation

app = typer.Typer()

INDENT = "    "
ROWS_MIN, ROWS_MAX = 3, 12
"""Rows of a log that are shown above its explanation."""
ROWS_AROUND = 5
"""Rows of the screen beside log and explanation: the log's file, the place, the prompt."""


@app.command(cls=InLab)
def explain(
    files: Annotated[
        list[str], typer.Argument(help="a log, - for standard input, a .bpf.c file, or a BCC script", metavar="FILE...")
    ],
    seconds: Annotated[float, typer.Option(help="how long a script runs in the lab")] = 10,
    args: Annotated[str, typer.Option(help="the script's arguments, as one string: --args '-p 42'")] = "",
    trying: Annotated[bool, typer.Option("--try", help="apply the advice to a copy, and say what happens")] = False,
    as_json: Json = False,
) -> None:
    """Explain why a program fails: cause, line, what to try.

    Reads any log of the verifier or of BCC (- for standard input). A .bpf.c file is loaded
    in the lab, a BCC script (.py) runs there.

    With --try, the change that is advised is made in a copy of the program, and the copy is
    loaded or run too. Advice that does not help is not printed.

    The end of the log comes first, and the file with all of it; the explanation is last.

    Exits 0 if nothing is wrong, 1 if something is, 3 if a program crashed the lab.
    """
    from harness.learner import diagnosis

    try:
        arguments = shlex.split(args)
    except ValueError as error:
        raise UsageError(f"--args {args}: {error}", remedy="workbook explain --help") from error
    kinds = set()
    for name, found in diagnosis.all_of(files, lambda: opened("vm"), seconds, arguments, trying):
        kinds.add(found.kind)
        if as_json:
            show_json(found.data(name))
        else:
            _print(name, found, _root())
    raise typer.Exit(LabError.exit_code if "lab" in kinds else 1 if kinds - {"ok"} else 0)


def _print(name: str, found: Explanation, root: Path | None) -> None:
    """The log, cut where its file is named, then the explanation."""
    from harness.explain import show as shown
    from harness.learner import diagnosis

    if found.kind == "ok":
        where = "that the lab can see" if diagnosis.is_program(name) else "in this log"
        show(f"{name}: nothing is wrong {where}", style="green")
        if found.cause:
            show(f"    {found.cause}")
        return
    size = shutil.get_terminal_size()
    body = shown.wrapped(shown.body(found), size.columns - len(INDENT) if _has_width() else 0)
    kept = _kept(name, found, root)
    rows = found.log.splitlines()
    if kept:
        fit = max(ROWS_MIN, min(ROWS_MAX, size.lines - len(body.splitlines()) - ROWS_AROUND))
        rows = shown.excerpt(found.log, found.message, fit)
        if _has_width():
            rows = [row if len(row) <= size.columns else f"{row[: size.columns - 1]}…" for row in rows]
    if rows:
        show("\n".join(rows), style="dim")
        show(f"the whole log: {kept}\n" if kept else "", style="dim")
    what = f"{found.rule} ({found.kind})" if found.rule else found.kind
    show(f"{shown.place(found, Path.cwd()) or name}  {what}", style="bold")
    show(textwrap.indent(body, INDENT))
    show("")


def _kept(name: str, found: Explanation, root: Path | None) -> str:
    """Where the whole log can be read: the file that was given, else one in the checkout's own folder."""
    from harness.learner import diagnosis, logs

    if name != "-" and not diagnosis.is_program(name):
        return name
    if root is None or not found.log:
        return ""
    try:
        path = logs.keep(root, "input" if name == "-" else Path(name).name, found.log)
    except (OSError, UsageError):  # nothing can be written here: the whole log is printed
        return ""
    return os.path.relpath(path)


def _has_width() -> bool:
    """Whether lines have to fit somewhere: a terminal, or a width that was asked for."""
    return sys.stdout.isatty() or "COLUMNS" in os.environ


def _root() -> Path | None:
    """The checkout, if the command runs in one."""
    try:
        return root()
    except UsageError:
        return None
