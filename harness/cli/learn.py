"""What a learner types: check a lesson, see how far, get a hint, compare, start over, run it, look inside."""

from __future__ import annotations

import json
import random
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from harness.cli.shared import Json, LabName, LessonName, err, opened, out, pick, root
from harness.course import catalog
from harness.errors import UsageError
from harness.screen import telling, working

app = typer.Typer()


@app.command("list")
def list_lessons(as_json: Json = False) -> None:
    """The lessons, in order."""
    found = catalog.lessons(root())
    if as_json:
        typer.echo(
            json.dumps([{"number": x.number, "slug": x.slug, "topic": x.topic, "title": x.title} for x in found])
        )
        return
    width = max((len(lesson.topic) for lesson in found), default=0)
    for lesson in found:
        out().print(Text(f"{lesson.number}  {lesson.topic:<{width}}  {lesson.title}"))


@app.command("progress")
def show_progress(as_json: Json = False) -> None:
    """How far you are: steps done, hints used, the last verdict of each lesson."""
    from harness.learner import progress

    found = [(lesson, progress.standing(lesson)) for lesson in catalog.lessons(root())]
    if as_json:
        typer.echo(
            json.dumps([{"slug": x.slug, "number": x.number, "steps": len(x.steps), **asdict(s)} for x, s in found])
        )
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("lesson", "steps", "hints", "last verdict", "checked"):
        table.add_column(heading)
    for lesson, now in found:
        style = "green" if now.verdict == "done" else "" if now.when else "dim"
        done = f"{now.steps_done}/{len(lesson.steps)}"
        hints = str(sum(now.hints.values()) or "")
        table.add_row(lesson.name, done, hints, now.verdict, now.when.replace("T", " "), style=style)
    out().print(table)


@app.command()
def hint(
    lesson: LessonName,
    step: Annotated[int | None, typer.Option(help="of this step; by default of the open one")] = None,
) -> None:
    """A hint for the open step; each call says a little more."""
    from harness.learner import hints

    chosen = pick(lesson)
    given = hints.take(chosen, step)
    if given is None:
        out().print(Text(f"all steps of lesson {chosen.number} were done at its last check", style="green"))
        out().print(Text(f"next: make diff-{chosen.number}, or workbook hint {chosen.number} --step N"))
        return
    out().print(Text(f"Lesson {chosen.number}, step {given.step.number}: {given.step.title}", style="bold"))
    for number, text in enumerate(given.shown, 1):
        out().print(Text(f"  {number}. {text}", style="" if number == len(given.shown) else "dim"))
    if given.left:
        more = f"make hint-{chosen.number}" if step is None else f"workbook hint {chosen.number} --step {step}"
        out().print(Text(f"next: {more} says more ({given.left} left)"))
    else:
        out().print(
            Text(f"That was the last hint. next: docs/{chosen.page.name}, or workbook diff {chosen.number} --spoil")
        )


@app.command()
def diff(
    lesson: LessonName,
    spoil: Annotated[bool, typer.Option("--spoil", help="show the reference although the lesson is not done")] = False,
) -> None:
    """Your code against the reference, once the lesson is done."""
    from harness.learner import difference, progress

    chosen = pick(lesson)
    if not spoil and not progress.standing(chosen).was_done:
        raise UsageError(
            f"lesson {chosen.number} is not done yet, and this shows its answer",
            remedy=f"make lesson-{chosen.number}, or workbook diff {chosen.number} --spoil",
        )
    styles = {"+": "green", "-": "red", "@": "cyan"}
    same = True
    for line in difference.difference(chosen):
        same = False
        out().print(Text(line, style=styles.get(line[:1], "")))
    if same:
        out().print(Text("your code is the reference's, line for line"))


@app.command()
def reset(
    lesson: LessonName,
    undo: Annotated[bool, typer.Option("--undo", help="bring back what the last reset took away")] = False,
) -> None:
    """Start a lesson over: the stubs again; your files are kept, and --undo brings them back."""
    from harness.learner import reset as resetting

    chosen = pick(lesson)
    if undo:
        resetting.undo(chosen)
        out().print(Text(f"your files of {chosen.name} are back; what was there is kept as well"))
        return
    kept = resetting.reset(chosen)
    if kept is None:
        out().print(Text(f"{chosen.name} holds the stubs already"))
    else:
        out().print(Text(f"{chosen.name} holds the stubs again; your files: {kept.relative_to(chosen.root)}"))
        out().print(Text(f"next: make lesson-{chosen.number}, or workbook reset {chosen.number} --undo"))


@app.command()
def watch(
    lesson: Annotated[
        str | None, typer.Argument(help="by default the first that is not done", metavar="[LESSON]")
    ] = None,
) -> None:
    """Check again at each save; on to the next lesson when one is done.

    Keys: h hint, Enter check again, a all lessons (a line for each), d diff, q quit. Without a terminal they are read
    from standard input; Ctrl-C ends it anywhere.
    """
    from harness.learner import watch as watching

    found = catalog.lessons(root())
    where = opened("vm")
    try:
        watching.watch(where, found, pick(lesson) if lesson else None, out())
    finally:
        where.close()


@app.command()
def check(as_json: Json = False) -> None:
    """The doctor: what a lesson needs, here and in the lab, and the command that mends what is missing."""
    from harness.learner import doctor

    try:
        lessons = catalog.lessons(root())
    except UsageError:
        lessons = []
    with telling(err()) as say:
        found = list(doctor.examine(lessons, say))
    missing = [finding for finding in found if finding.state == "missing"]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found]))
    else:
        width = max(len(finding.name) for finding in found)
        for finding in found:
            mark, style = {"ok": ("✔", "green"), "missing": ("✘", "red"), "note": ("·", "yellow")}[finding.state]
            out().print(Text(f"  {mark} {finding.name:<{width}}  {finding.why}", style=style))
            if finding.remedy:
                out().print(Text(f"    {'':<{width}}  next: {finding.remedy}"))
    raise typer.Exit(3 if missing else 0)


@app.command()
def verify(
    lesson: LessonName,
    tree: Annotated[str, typer.Option(help="lessons (your code) or solutions (the reference)")] = "lessons",
    lab: LabName = "vm",
    seed: Annotated[int | None, typer.Option(help="replay a run's random names")] = None,
    as_json: Json = False,
) -> None:
    """Check a lesson: its steps, the first open one with file and line, the next command."""
    from harness.learner import verify as verifying

    chosen = pick(lesson)
    used = seed if seed is not None else random.SystemRandom().randrange(1, 1_000_000)
    where = opened(lab)
    try:
        with working(err(), f"checking {chosen.name}") as say:
            view = verifying.verify(where, chosen, tree, say, used)
    finally:
        where.close()
    if tree == "lessons":
        view.remember()
    if as_json:
        steps = [{"number": r.step.number, "title": r.step.title, **asdict(r.verdict)} for r in view.steps]
        typer.echo(
            json.dumps({"lesson": chosen.name, "tree": tree, "seed": used, "exit": view.exit_code, "steps": steps})
        )
    else:
        verifying.show(view, out(), tree)
        if view.exit_code:
            out().print(Text(f"seed {used}", style="dim"))
    raise typer.Exit(view.exit_code)


@app.command()
def judge(
    lesson: LessonName,
    tree: Annotated[str, typer.Option(help="lessons (your test) or solutions (the reference's)")] = "lessons",
    as_json: Json = False,
) -> None:
    """Is your own test any good: it must pass on the reference and catch wrong answers. Exits 1 if it does not."""
    from harness.learner import judge as judging
    from harness.learner import progress

    chosen = pick(lesson)
    steps = judging.own_steps(chosen)
    if not steps:
        raise UsageError(f"lesson {chosen.number} has no test of your own", remedy=f"make lesson-{chosen.number}")
    mine = judging.own_test(chosen, tree)
    where = opened("vm")
    try:
        with working(err(), f"judging {chosen.name}", log=True) as say:
            found = [judging.judge(where, chosen, step, mine, score=True, say=say) for step in steps]
    finally:
        where.close()
    if as_json:
        typer.echo(json.dumps({"lesson": chosen.name, "tree": tree, "steps": judging.as_data(steps, found)}))
    else:
        standing = progress.standing(chosen)
        everything = tree == "solutions" or standing.was_done
        for step, one in zip(steps, found, strict=True):
            judging.show(chosen, step, one, out(), len(chosen.steps) if everything else standing.steps_done + 1)
    raise typer.Exit(0 if all(one.catches for one in found) else 1)


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    lesson: LessonName,
    arguments: Annotated[list[str] | None, typer.Argument(help="for the loader, after --")] = None,
    tree: Annotated[str, typer.Option(help="lessons or solutions")] = "lessons",
    bring: Annotated[
        Path | None,
        typer.Option("--artefacts", help="a folder for the files that the loader makes; by default one in .workbook"),
    ] = None,
) -> None:
    """Run a lesson's loader live in the lab; Ctrl-C is passed on.

    Nothing else runs in the guest, so without arguments the loader is given the lesson's own example to watch.
    """
    from harness.guest.agent import starter
    from harness.learner import artefacts, relay
    from harness.run import payload

    chosen = pick(lesson)
    folder = chosen.folder(tree)
    where = bring or artefacts.home(chosen)
    given = arguments or list(chosen.demo)
    if given and not arguments:
        err().print(Text(f"workbook run {chosen.number} -- {shlex.join(given)}", style="dim"))
    argv = starter.argv(str(folder / "loader.py"), *given)
    files = payload.of_folder(folder) | payload.of_paths([Path(starter.__file__)])
    raise typer.Exit(relay.run(opened("vm"), argv, cwd=folder, files=files, bring=where))


@app.command()
def flamegraph(
    profile: Annotated[Path, typer.Argument(help="folded stacks, or a speedscope file")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="by default beside the profile")] = None,
) -> None:
    """Draw a profile of lesson 07 as a flame graph: one SVG that a browser opens."""
    from harness.course import files
    from harness.learner import flamegraph as drawing

    target = output or profile.with_suffix(".svg")
    picture = drawing.svg(drawing.read(profile), profile.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write(target, picture.encode())
    out().print(Text(str(target)))


@app.command()
def shell(
    lesson: Annotated[str | None, typer.Argument(help="bring this lesson's files along", metavar="[LESSON]")] = None,
) -> None:
    """A root shell in a fresh guest, thrown away afterwards."""
    from harness.learner import relay
    from harness.run import payload

    folder = pick(lesson).folder() if lesson else None
    files = payload.of_folder(folder) if folder else {}
    raise typer.Exit(relay.run(opened("vm"), ["bash", "-l"], cwd=folder or Path("/root"), files=files))
