"""`workbook author`: for those who write lessons."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from harness.cli.shared import Json, LessonName, err, out, pick, root
from harness.course import catalog
from harness.screen import telling

app = typer.Typer(no_args_is_help=True, help="For those who write lessons.")


@app.command("stubs")
def author_stubs(lesson: LessonName) -> None:
    """Write a lesson's stubs from its solution; what differs is kept, `workbook reset NN --undo` brings it back."""
    from harness.learner import reset

    chosen = pick(lesson)
    kept = reset.reset(chosen)
    for name in chosen.edited:
        out().print(Text(str((chosen.folder() / name).relative_to(chosen.root))))
    if kept is not None:
        err().print(Text(f"the files before: {kept.relative_to(chosen.root)}; workbook reset {chosen.number} --undo"))


@app.command("check")
def author_check(
    lesson: Annotated[str | None, typer.Argument(help="one lesson; all by default", metavar="[LESSON]")] = None,
    files_only: Annotated[bool, typer.Option("--files-only", help="only what needs no guest")] = False,
    guests: Annotated[int | None, typer.Option(help="guests side by side; by default what fits")] = None,
    as_json: Json = False,
) -> None:
    """Prove stubs red, solutions green, mutants caught."""
    from harness.authoring import parts as author
    from harness.authoring import proving
    from harness.lab import saved
    from harness.lab.choose import fitting
    from harness.lab.virtual import VirtualLab

    chosen = [pick(lesson)] if lesson else catalog.lessons(root())

    def tell(finding: author.Finding) -> None:
        mark, style = ("ok", "green") if finding.ok else ("FAILED", "red")
        told = "".join(f": {text}" for text in ("" if finding.ok else finding.detail, finding.shown) if text)
        took = f" ({finding.seconds:.0f} s)" if finding.seconds else ""
        err().print(Text(f"{mark:<7}{finding.lesson}: {finding.what}{took}{told}", style=style))

    found = [finding for one in chosen for finding in author.check_files(one)]
    for finding in found:
        tell(finding)
    if not files_only:
        with telling(err()) as say:
            guest = saved.ensure(say)
        found += proving.check_in_lab(chosen, lambda: VirtualLab(guest), guests or fitting(), tell)
    bad = [finding for finding in found if not finding.ok]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found]))
    killed = [f for f in found if f.what.startswith("mutant ")]
    summary = f"{len(chosen)} lessons, {len(found)} checks, {len(bad)} failed"
    if killed:
        summary += f"; mutants killed: {sum(f.ok for f in killed)} of {len(killed)}"
    err().print(Text(summary, style="red" if bad else "green"))
    raise typer.Exit(1 if bad else 0)


@app.command("pages")
def author_pages(
    lesson: Annotated[
        str | None, typer.Argument(help="one lesson's page, or index; all by default", metavar="[LESSON]")
    ] = None,
    only_check: Annotated[bool, typer.Option("--check", help="compare, change nothing")] = False,
    files_only: Annotated[bool, typer.Option("--files-only", help="only what needs no guest")] = False,
) -> None:
    """Fill pages from files and runs: code, transcripts, the table of lessons. With --check exits 1 on a difference."""
    from harness.authoring import pages

    lessons = catalog.lessons(root())
    chosen = [_page(lesson)] if lesson else pages.pages(root())
    differ = 0
    for page in chosen:
        found = list(pages.changes(page, root(), lessons, pages.FILES if files_only else pages.ALL))
        for change in found:
            out().print(Text(f"{change}{' differs' if only_check else ''}"))
        if found and not only_check:
            pages.rewrite(page, found)
        differ += len(found)
    raise typer.Exit(1 if only_check and differ else 0)


def _page(name: str) -> Path:
    """The page of the lesson that was named; "index" is the page of them all."""
    return root() / "docs" / "index.md" if name == "index" else pick(name).page


@app.command("repeat")
def author_repeat(
    lesson: Annotated[str | None, typer.Argument(help="one lesson; all by default", metavar="[LESSON]")] = None,
    runs: Annotated[int, typer.Option(help="runs of each lesson's reference")] = 10,
    guests: Annotated[int | None, typer.Option(help="guests side by side; by default what fits")] = None,
) -> None:
    """Run references many times, each in a fresh guest; failures / runs for each lesson. Exits 1 on any failure."""
    from harness.lab import saved
    from harness.lab.choose import fitting
    from harness.lab.virtual import VirtualLab
    from harness.measure import repeat

    chosen = [pick(lesson)] if lesson else catalog.lessons(root())
    with telling(err()) as say:
        guest = saved.ensure(say)

    def tell(one: repeat.Run) -> None:
        style = "red" if one.failure else ""
        err().print(Text(f"{one.lesson}  {one.seconds:5.1f} s  {one.failure or 'ok'}", style=style))

    done = repeat.repeat(chosen, runs, guests or fitting(), lambda: VirtualLab(guest), tell)
    for one in chosen:
        mine = [run for run in done if run.lesson == one.name]
        out().print(Text(f"{one.name}: {sum(bool(run.failure) for run in mine)} failures / {len(mine)} runs"))
    raise typer.Exit(1 if any(run.failure for run in done) else 0)
