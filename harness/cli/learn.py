"""What a learner types: check a lesson, see how far, get a hint, compare, start over, run it, look inside."""

from __future__ import annotations

import shlex
import time
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    InLab,
    Json,
    LabName,
    LessonName,
    LessonOrTool,
    Seed,
    Tree,
    a_seed,
    course,
    err,
    note,
    opened,
    out,
    pick,
    pick_own,
    root,
    show,
    show_json,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.course.catalog import Lesson

LISTED = ("number", "slug", "track", "topic", "title")
"""What `workbook list --json` says of a lesson."""
PAGE_PORT = 8013
"""Always tried first: a bookmark and a forwarded port stay right."""

app = typer.Typer()


@app.command("list")
def list_lessons(as_json: Json = False) -> None:
    """List the lessons of each track, in order."""
    from harness.course import catalog

    found = course()
    if as_json:
        show_json([{name: getattr(x, name) for name in LISTED} for x in found])
        return
    width = max((len(lesson.topic) for lesson in found), default=0)
    for title, lessons in catalog.by_track(found):
        show(title, style="bold")
        for lesson in lessons:
            show(f"{lesson.number}  {lesson.topic:<{width}}  {lesson.title}")


@app.command("progress")
def show_progress(as_json: Json = False) -> None:
    """Show steps done, hints used and each last verdict."""
    from rich.table import Table
    from rich.text import Text

    from harness.course import catalog
    from harness.learner import progress

    found = {lesson: progress.standing(lesson) for lesson in course()}
    if as_json:
        listed = [{"slug": x.slug, "number": x.number, "track": x.track, "steps": len(x.steps)} for x in found]
        show_json([one | asdict(now) for one, now in zip(listed, found.values(), strict=True)])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("lesson", "steps", "hints", "last verdict", "checked"):
        table.add_column(heading)
    for title, lessons in catalog.by_track(found):
        table.add_row(title, style="bold")
        for lesson in lessons:
            now = found[lesson]
            style = "green" if now.verdict == "done" else "" if now.when else "dim"
            done = f"{now.steps_done}/{len(lesson.steps)}"
            hints = str(sum(now.hints_used.values()) or "")
            verdict = f"{now.verdict} on {now.on}" if now.on else now.verdict
            row = (lesson.name, done, hints, verdict, now.when.replace("T", " "))
            table.add_row(*(Text(cell) for cell in row), style=style)  # rich takes [brackets] in a str for markup
    out().print(table)


@app.command()
def hint(
    lesson: LessonName,
    step: Annotated[int | None, typer.Option(help="the step's number; by default the open step")] = None,
) -> None:
    """Show a hint for the open step; the next one says more."""
    from harness.learner import hints

    chosen = pick(lesson)
    given = hints.take(chosen, step)
    if given is None:
        show(f"all steps of lesson {chosen.number} were done at its last check", style="green")
        show(f"next: make diff-{chosen.number}, or workbook hint {chosen.number} --step N")
        return
    show(f"Lesson {chosen.number}, step {given.step.number}: {given.step.title}", style="bold")
    for number, text in enumerate(given.shown, 1):
        show(f"  {number}. {text}", style="" if number == len(given.shown) else "dim")
    if given.left:
        more = f"make hint-{chosen.number}" if step is None else f"workbook hint {chosen.number} --step {step}"
        show(f"next: {more} says more ({given.left} left)")
    else:
        show(f"That was the last hint. next: docs/{chosen.page.name}, or workbook diff {chosen.number} --spoil")


@app.command()
def diff(
    lesson: LessonName,
    spoil: Annotated[bool, typer.Option("--spoil", help="show the reference although the lesson is not done")] = False,
) -> None:
    """Compare your code with the reference, line by line.

    Once the lesson is done, or with --spoil.
    """
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
        show(line, style=styles.get(line[:1], ""))
    if same:
        show("your code is the reference's, line for line")


@app.command(cls=InLab)
def compare(lesson: LessonName, seed: Seed = None, as_json: Json = False) -> None:
    """Compare your program's cost with the reference's.

    Both run under the same tests: verdicts, instructions, stack, memory, runs, lost events. It shows numbers, no code,
    so it spoils nothing. It shows no time: under emulation that varies too much. Exits 1 while a step is not done.
    """
    from harness.learner import compare as comparing
    from harness.run import needs
    from harness.screen import working

    chosen, used = pick(lesson), a_seed(seed)
    with closing(opened("vm")) as where, working(err(), f"comparing {chosen.name}", 0) as say:
        needs.refuse(where, chosen)
        mine, reference = comparing.compare(where, chosen, used, say)
    if as_json:
        sides = {"yours": comparing.data(mine), "reference": comparing.data(reference)}
        show_json({"lesson": chosen.name, "seed": used} | sides)
    else:
        comparing.show(chosen, mine, reference, out())
    raise typer.Exit(0 if comparing.done([mine, reference]) else 1)


@app.command()
def reset(
    lesson: LessonName,
    undo: Annotated[bool, typer.Option("--undo", help="bring back what the last reset replaced")] = False,
) -> None:
    """Restore a lesson's stubs; your files are kept.

    --undo brings them back.
    """
    from harness.learner import reset as resetting

    chosen = pick(lesson)
    if undo:
        resetting.undo(chosen)
        show(f"your files of {chosen.name} are back; what was there is kept as well")
        return
    kept = resetting.reset(chosen)
    if kept is None:
        show(f"{chosen.name} holds the stubs already")
    else:
        show(f"{chosen.name} holds the stubs again; your files: {kept.relative_to(chosen.root)}")
        show(f"next: make lesson-{chosen.number}, or workbook reset {chosen.number} --undo")


@app.command(cls=InLab)
def watch(
    lesson: Annotated[
        str | None, typer.Argument(help="by default the first that is not done", metavar="[LESSON]")
    ] = None,
) -> None:
    """Check on every save; move on when a lesson is done.

    Keys: h hint, Enter check again, a all lessons (a line for each), j judge, c compare, r run, s stop, n next lesson,
    d diff, R reset, U undo, q quit. Without a terminal they are read from standard input; Ctrl-C ends it anywhere.
    """
    from harness.learner import watch as watching

    found = course()
    with closing(opened("vm")) as where:
        watching.watch(where, found, pick(lesson) if lesson else None, out())


@app.command(cls=InLab)
def page(
    lesson: Annotated[
        str | None, typer.Argument(help="by default the first that is not done", metavar="[LESSON]")
    ] = None,
    port: Annotated[int, typer.Option(help="any other is taken if it is in use")] = PAGE_PORT,
    opens: Annotated[
        bool | None, typer.Option("--open/--no-open", help="open the browser; by default where $BROWSER names one")
    ] = None,
) -> None:
    """Show a lesson and its verdicts in the browser.

    It checks on every save, as watch does, and prints the address, which holds a key: it is for you alone. Where it
    opens the browser, other users of this machine can see the address among that program's arguments. Ctrl-C ends it.
    """
    import os
    import webbrowser

    from harness.learner import engine
    from harness.page.serve import Server

    found = course()
    first = pick(lesson) if lesson else engine.after(None, found)
    with closing(opened("vm")) as where:
        server = Server(where, found, first, port)

        def ready(address: str) -> None:
            show(address)
            if opens if opens is not None else "BROWSER" in os.environ:
                webbrowser.open(address)

        server.run(ready)


@app.command("doctor", cls=InLab)
def examine(
    as_json: Json = False,
    kvm: Annotated[bool, typer.Option("--kvm", help="try KVM again, and show what it does")] = False,
) -> None:
    """Check that this machine can run the lessons.

    It looks here and in the lab, and names the command that fixes what is missing. Exits 3 if something is. With --kvm
    a guest is saved, restored and used in KVM, and KVM is used from then on if all of that works.
    """
    from harness.learner import doctor
    from harness.screen import stages

    lessons: tuple[Lesson, ...] = ()
    with suppress(UsageError):
        lessons = course().lessons
    with stages(err()) as say:
        found = list(doctor.kvm(say) if kvm else doctor.examine(lessons, say))
    if as_json:
        show_json([asdict(finding) for finding in found])
    else:
        width = max(len(finding.name) for finding in found)
        for finding in found:
            mark, style = {"ok": ("✔", "green"), "missing": ("✘", "red"), "note": ("·", "yellow")}[finding.state]
            show(f"  {mark} {finding.name:<{width}}  {finding.why}", style=style)
            if finding.remedy:
                show(f"    {'':<{width}}  next: {finding.remedy}")
    raise typer.Exit(3 if any(finding.state == "missing" for finding in found) else 0)


@app.command(cls=InLab)
def verify(
    lesson: LessonName, tree: Tree = "lessons", lab: LabName = "vm", seed: Seed = None, as_json: Json = False
) -> None:
    """Check a lesson and show its first open step.

    With its file and line, and the command to type next. Exits 0 if the lesson is done, 1 if not yet, 3 if the lab
    failed.
    """
    from harness.learner import progress
    from harness.learner import verify as verifying
    from harness.screen import LONG_S, working

    chosen, used = pick(lesson), a_seed(seed)
    if tree == "lessons" and (early := progress.early(course(), chosen)):
        note(early, style="yellow")
    what = progress.announced(chosen) if tree == "lessons" else f"checking {chosen.name}"
    with closing(opened(lab)) as where, working(err(), what, LONG_S) as say:
        view = verifying.verify(where, chosen, tree, say, used)
    if tree == "lessons":
        view.remember()
    if as_json:
        steps = [{"number": r.step.number, "title": r.step.title, **r.verdict.data()} for r in view.steps]
        show_json(
            {"lesson": chosen.name, "tree": tree, "seed": used, "on": view.on, "exit": view.exit_code, "steps": steps}
        )
    else:
        verifying.show(view, out(), tree)
    raise typer.Exit(view.exit_code)


@app.command(cls=InLab)
def judge(lesson: LessonName, tree: Tree = "lessons", as_json: Json = False) -> None:
    """Judge your test on right and wrong answers.

    It must pass on the reference and catch the wrong answer of its step. What decides is tried first and shown at once;
    the lesson's other wrong answers follow and give a score. Ctrl-C then shows what is known. Exits 1 if the test is
    not good enough.
    """
    from rich.text import Text

    from harness.learner import judge as judging
    from harness.learner import progress
    from harness.run import needs
    from harness.screen import working

    chosen = pick(lesson)
    steps = judging.own_steps(chosen)
    if not steps:
        from harness.learner import verify as verifying

        after = verifying.after_done(chosen) if progress.standing(chosen).was_done else f"make lesson-{chosen.number}"
        raise UsageError(f"lesson {chosen.number} has no test of your own", remedy=after)
    mine = judging.own_test(chosen, tree)
    found: list[judging.Judgement] = []
    screen, known = err(), list[judging.Judgement]()

    def hear(one: judging.Judgement) -> None:
        if not known and (line := judging.early(one)):
            screen.print(Text(line))
        known[:] = [one]

    stopped = False
    with closing(opened("vm")) as where, working(screen, f"judging {chosen.name}", 0) as say:
        needs.refuse(where, chosen)
        for step in steps:
            known.clear()
            try:
                found.append(judging.judge(where, chosen, step, mine, score=True, say=say, hear=hear))
            except KeyboardInterrupt:
                found, stopped = found + known, True
                break
    if stopped and not found:
        raise KeyboardInterrupt
    standing = progress.standing(chosen)
    reached = len(chosen.steps) if tree == "solutions" or standing.was_done else standing.steps_done + 1
    if as_json:
        judged = judging.as_data(chosen, steps[: len(found)], found, reached)
        show_json({"lesson": chosen.name, "tree": tree, "steps": judged})
    else:
        for step, one in zip(steps, found, strict=False):  # fewer where it was stopped
            judging.show(chosen, step, one, out(), reached)
    raise typer.Exit(130 if stopped else 0 if all(one.catches for one in found) else 1)


@app.command(context_settings={"ignore_unknown_options": True}, cls=InLab)
def run(
    lesson: LessonOrTool,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="the loader's arguments, after -- if they begin with a dash")
    ] = None,
    tree: Tree = "lessons",
    bring: Annotated[
        Path | None,
        typer.Option("--artefacts", help="a folder for the files that the loader makes; by default one in .workbook"),
    ] = None,
) -> None:
    """Run a lesson's loader, or your own tool, in the lab.

    Ctrl-C is passed on. No other program runs in the guest, so without arguments the loader watches the lesson's own
    example.
    """
    from harness.learner import artefacts, live, relay
    from harness.run import needs, payload

    chosen = pick_own(lesson)
    folder = chosen.folder(tree)
    where = bring or artefacts.home(chosen)
    given = arguments or list(chosen.demo)
    if given and not arguments:
        note(
            f"nothing else runs in the guest, so this starts: workbook run {chosen.number} -- {shlex.join(given)}",
            style="dim",
        )
    argv = live.command(chosen, tree, given)
    artefacts.check_target(where, chosen.root)
    files = payload.of_folder(folder)
    lab = opened("vm")
    needs.refuse(lab, chosen)
    raise typer.Exit(relay.run(lab, argv, cwd=folder, files=files, bring=where))


@app.command(cls=InLab)
def shell(
    lesson: Annotated[
        str | None, typer.Argument(help="copy its files, or your tool's, too", metavar="[LESSON]")
    ] = None,
) -> None:
    """Open a root shell in a fresh guest.

    The guest is thrown away afterwards.
    """
    from harness.learner import relay
    from harness.run import payload

    folder = pick_own(lesson).folder() if lesson else None
    files = payload.of_folder(folder) if folder else {}
    raise typer.Exit(relay.run(opened("vm"), ["bash", "-l"], cwd=folder or Path("/root"), files=files))


@app.command()
def new(name: Annotated[str, typer.Argument(help="the tool's name: words joined by hyphens", metavar="NAME")]) -> None:
    """Write an empty tool of your own, with its first test.

    In tools/NAME: a loader, a program for the kernel, and a test that is red and says what to do. It runs in the lab,
    as lessons do: workbook run NAME, pytest tools/NAME. Nothing that is there is overwritten.
    """
    from harness.tools import making

    made = making.make(course(), name)
    for path in sorted(made.folder().iterdir()):
        show(str(path.relative_to(made.root)))
    show(f"next: pytest -c pyproject.toml tools/{made.name}, then workbook probes who deletes files")


@app.command()
def flamegraph(
    profile: Annotated[Path, typer.Argument(help="folded stacks, or a speedscope file")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="by default beside the profile")] = None,
) -> None:
    """Draw a profile of lesson 07 as a flame graph.

    One SVG that a browser opens.
    """
    from harness.learner import flamegraph as drawing

    _write(output or profile.with_suffix(".svg"), drawing.svg(drawing.read(profile)))


@app.command()
def report(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="by default report.html in the folder .workbook")
    ] = None,
) -> None:
    """Write your progress as one HTML page.

    Steps, verdicts, hints and the pictures you made, in one file that needs no other.
    """
    from harness.learner import htmlreport, progress

    target = output or progress.folder(root()) / "report.html"
    _write(target, htmlreport.page(course().lessons, time.strftime("%Y-%m-%d"), target.parent))


def _write(target: Path, text: str) -> None:
    """Write a file of the learner's, and print where it is."""
    from harness.course import files

    target.parent.mkdir(parents=True, exist_ok=True)
    files.write(target, text.encode())
    show(str(target))
