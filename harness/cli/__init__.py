"""The `workbook` command: thin functions that name what they call.

Only what `--help` needs is imported at the start; each command imports the rest when it runs.
"""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

import typer

from harness.cli import author, explain, lab, learn, probes
from harness.cli.options import note
from harness.errors import LabError, WorkbookError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Learn eBPF from Python, in a real kernel that the workbook brings along.",
)
app.add_typer(learn.app)
app.add_typer(explain.app)
app.add_typer(probes.app)
app.add_typer(lab.app, name="lab")
app.add_typer(author.app, name="author")


def fail(error: WorkbookError) -> NoReturn:
    """Print the sentence and the next command; exit with the error's code."""
    note(f"{error}", style="red")
    if console := getattr(error, "console", ""):
        note("Last lines of the guest's console:")
        note(console, style="dim")
    if trace := getattr(error, "traceback", ""):
        note(trace, style="dim")
        note("This is a fault of the workbook, not of your code.", style="magenta")
    if error.remedy:
        note(f"next: {error.remedy}")
    sys.exit(error.exit_code)


def main() -> None:
    """Entry point of the `workbook` command."""
    try:
        app()
    except WorkbookError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        note("This is a fault of the workbook, not of your code.", style="magenta")
        sys.exit(LabError.exit_code)
