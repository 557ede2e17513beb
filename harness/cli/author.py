"""`workbook author`: for those who write lessons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    FilesOnly,
    Guests,
    InLab,
    Json,
    LessonName,
    OneLesson,
    Seed,
    a_seed,
    built,
    course,
    err,
    note,
    out,
    pick,
    root,
    show,
    show_json,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.authoring.parts import Finding
    from harness.course.catalog import Lesson
    from harness.lab.saved import SavedGuest
    from harness.measure import repeat

app = typer.Typer(no_args_is_help=True, help="Write lessons, and prove them.")


@app.command("stubs")
def author_stubs(lesson: LessonName) -> None:
    """Write a lesson's stubs from its solution.

    What differs is kept; `workbook reset NN --undo` brings it back.
    """
    from harness.learner import reset

    chosen = pick(lesson)
    kept = reset.reset(chosen)
    for name in chosen.edited:
        show(str((chosen.folder() / name).relative_to(chosen.root)))
    if kept is not None:
        note(f"the files before: {kept.relative_to(chosen.root)}; workbook reset {chosen.number} --undo")


@app.command("check", cls=InLab)
def author_check(
    lesson: OneLesson = None, files_only: FilesOnly = False, guests: Guests = None, as_json: Json = False
) -> None:
    """Prove stubs red, solutions green, mutants caught.

    Exits 1 if a check fails.
    """
    from harness.authoring import parts, proving
    from harness.lab.choose import fitting
    from harness.lab.virtual import VirtualLab

    chosen = [pick(lesson)] if lesson else course().lessons
    found = [finding for one in chosen for finding in parts.check_files(one)]
    for finding in found:
        _show_finding(finding)
    if not files_only:
        guest = built()
        able = _able(guest, chosen)
        found += proving.check_in_lab(able, lambda: VirtualLab(guest), guests or fitting(), _show_finding)
    bad = [finding for finding in found if not finding.ok]
    if as_json:
        show_json([asdict(finding) for finding in found])
    killed = [f for f in found if f.what.startswith("mutant ")]
    summary = f"{len(chosen)} lessons, {len(found)} checks, {len(bad)} failed"
    if killed:
        summary += f"; mutants killed: {sum(f.ok for f in killed)} of {len(killed)}"
    note(summary, style="red" if bad else "green")
    raise typer.Exit(1 if bad else 0)


@app.command("prove", cls=InLab)
def author_prove(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="some lessons; all by default", metavar="[LESSON]...")
    ] = None,
    changed: Annotated[bool, typer.Option("--changed", help="what changed, and a random tenth of the rest")] = False,
    seed: Seed = None,
    guests: Guests = None,
) -> None:
    """Prove lessons in the lab and write the ledger.

    The ledger is tests/proofs. Without --changed everything is proven; a run that was killed goes on where it was. A
    proof that is kept was seen to pass on the same bytes before, and is not run now. Exits 1 if a proof fails, 3 if
    the lab does.
    """
    from harness.authoring import ledger
    from harness.authoring.ledger import Place
    from harness.authoring.prove import Proof
    from harness.lab.choose import fitting
    from harness.lab.virtual import VirtualLab

    everything, guest = course(), built()
    chosen = _able(guest, [everything.pick(name) for name in lessons] if lessons else everything.lessons)
    proof = Proof.of(everything, chosen, Place(guest.facts.kernel, guest.facts.arch))
    used = a_seed(seed)
    planned = proof.changes(used) if changed else proof.everything()
    note(f"{planned}{f' (seed {used})' if changed else ''}")
    found = proof.run(planned, lambda: VirtualLab(guest), guests or fitting(), _show_finding)
    bad = [finding for finding in found if not finding.ok]
    if not changed and not bad:
        proof.end()
    for one in ledger.flaky(proof.ledgers):
        note(f"flaky  {one}", style="yellow")
    if changed and proof.whole_is_old:
        note("the harness has changed since everything was proven in one go; before a release: make prove")
    note(f"{len(found)} proofs run, {len(bad)} failed, {len(planned.kept)} kept", style="red" if bad else "green")
    raise typer.Exit(1 if any(not one.lab for one in bad) else 3 if bad else 0)


def _able(guest: SavedGuest, chosen: Sequence[Lesson]) -> list[Lesson]:
    """The lessons that can run in `guest`; of each other one the reason is shown, and nothing is proven."""
    from harness.lab.virtual import VirtualLab
    from harness.run import needs

    why = {one.name: needs.lacking(VirtualLab(guest), one) for one in chosen}
    for name, text in why.items():
        if text:
            note(f"skip   {name}: {text}", style="yellow")
    return [one for one in chosen if not why[one.name]]


def _show_finding(finding: Finding) -> None:
    mark, style = ("ok", "green") if finding.ok else ("FAILED", "red")
    more = "".join(f": {text}" for text in ("" if finding.ok else finding.detail, finding.shown) if text)
    took = f" ({finding.seconds:.0f} s)" if finding.seconds else ""
    note(f"{mark:<7}{finding.lesson}: {finding.what}{took}{more}", style=style)


@app.command("pages", cls=InLab)
def author_pages(
    lesson: Annotated[
        str | None, typer.Argument(help="one lesson's page, or index; all by default", metavar="[LESSON]")
    ] = None,
    only_check: Annotated[bool, typer.Option("--check", help="compare, change nothing")] = False,
    files_only: FilesOnly = False,
) -> None:
    """Fill pages from files and runs.

    Code, transcripts, the table of lessons. With --check it exits 1 on a difference.
    """
    from harness.authoring import pages
    from harness.lab.image import target

    if not only_check and not target.chosen().is_default:
        raise UsageError("pages show the default lab", remedy=f"unset {target.KERNEL} {target.ARCH}, or use --check")
    lessons = course()
    chosen = [_page(lesson)] if lesson else pages.pages(root())
    differ = 0
    for page in chosen:
        found = list(pages.changes(page, root(), lessons, pages.FILES if files_only else pages.ALL))
        for change in found:
            show(f"{change}{' differs' if only_check else ''}")
        if found and not only_check:
            pages.rewrite(page, found)
        differ += len(found)
    raise typer.Exit(1 if only_check and differ else 0)


def _page(name: str) -> Path:
    """The page of the lesson that was named; "index" is the page of them all."""
    return root() / "docs" / "index.md" if name == "index" else pick(name).page


@app.command("repeat", cls=InLab)
def author_repeat(
    lesson: OneLesson = None,
    runs: Annotated[int, typer.Option(help="runs of each lesson's reference")] = 10,
    guests: Guests = None,
) -> None:
    """Run references many times, each in a fresh guest.

    Prints failures / runs for each lesson. Exits 1 on any failure.
    """
    from harness.lab.choose import fitting
    from harness.lab.virtual import VirtualLab
    from harness.measure import repeat

    chosen = [pick(lesson)] if lesson else course().lessons
    guest = built()
    done = repeat.repeat(chosen, runs, guests or fitting(), lambda: VirtualLab(guest), _show_run)
    for one in chosen:
        mine = [run for run in done if run.lesson == one.name]
        show(f"{one.name}: {sum(bool(run.failure) for run in mine)} failures / {len(mine)} runs")
    raise typer.Exit(1 if any(run.failure for run in done) else 0)


def _show_run(one: repeat.Run) -> None:
    note(f"{one.lesson}  {one.seconds:5.1f} s  {one.failure or 'ok'}", style="red" if one.failure else "")


@app.command("matrix", cls=InLab)
def author_matrix(
    lessons: Annotated[
        list[str] | None, typer.Argument(help="some lessons; all by default", metavar="[LESSON]...")
    ] = None,
    runs: Annotated[int, typer.Option(help="runs of each reference in each lab")] = 3,
    guests: Guests = None,
    as_json: Json = False,
) -> None:
    """Run the references on each kernel and architecture.

    A table of failures / runs, and the reason of each failure and of each skip. --kernel and --arch choose a part of
    it. What ran on the same bytes is kept, so that a run that was killed goes on. Exits 1 on any failure, 3 where a lab
    fails.
    """
    from harness.lab.choose import fitting
    from harness.lab.image import target
    from harness.measure import matrix
    from harness.screen import stages

    everything = course()
    chosen = [everything.pick(name) for name in lessons] if lessons else list(everything)
    with stages(err()) as say:
        found = matrix.measure(everything.root, chosen, list(target.wanted()), runs, guests or fitting(), say)
    if as_json:
        show_json(found.data())
    else:
        matrix.show(found, out())
    raise typer.Exit(found.exit_code)


@app.command("screens")
def author_screens(
    only_check: Annotated[bool, typer.Option("--check", help="compare what they say, change nothing")] = False,
) -> None:
    """Regenerate the pictures in docs/screens.

    They come from real runs; one needs chromium. With --check it exits 1 on a difference.
    """
    from harness.authoring import screens
    from harness.course import files
    from harness.screen import stages

    differ = 0
    with stages(err()) as say:
        for shot in screens.shots(root(), say):
            path = root() / shot.path
            now = screens.text_of(path.read_text()) if path.suffix == ".svg" and path.exists() else ""
            if only_check and not screens.same(now, shot.text):
                differ += 1
                show(f"{shot.path} says something else now")
            if not only_check:
                path.parent.mkdir(parents=True, exist_ok=True)
                files.write(path, shot.content)
                show(str(shot.path))
    raise typer.Exit(1 if differ else 0)
