"""The `workbook` command: thin functions that name what they call."""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

import typer
from rich.text import Text

from harness.cli import author, compare, explain, lab, latency, learn, report, screens
from harness.cli.shared import err
from harness.errors import LabError, WorkbookError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Learn eBPF from Python, in a real kernel that the workbook brings along.",
)
app.add_typer(learn.app)
app.add_typer(report.app)
lab.app.command("latency")(latency.lab_latency)
app.add_typer(explain.app)
app.add_typer(compare.app)
app.add_typer(lab.app, name="lab")
author.app.command("screens")(screens.author_screens)
app.add_typer(author.app, name="author")


def fail(error: WorkbookError) -> NoReturn:
    """Print the sentence and the next command; exit with the error's code."""
    err().print(Text(f"{error}", style="red"))
    if console := getattr(error, "console", ""):
        err().print(Text("the guest's last words:"))
        err().print(Text(console, style="dim"))
    if error.remedy:
        err().print(Text(f"next: {error.remedy}"))
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
        err().print(Text("This is a fault of the workbook, not of your code.", style="magenta"))
        sys.exit(LabError.exit_code)
