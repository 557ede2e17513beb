"""`workbook lab`: the virtual machine in which all code of the lessons runs, and measurements of it."""

from __future__ import annotations

import json
import statistics
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import PASS_ON, InLab, Json, a_seed, built, err, note, opened, pick, root, show, show_json

if TYPE_CHECKING:
    from harness.measure import interrupts, soak

app = typer.Typer(no_args_is_help=True, help="Build, use and measure the virtual machine.")


@app.command("exec", context_settings=PASS_ON, cls=InLab)
def lab_exec(
    command: Annotated[list[str], typer.Argument(help="the command, after --")],
    with_files: Annotated[list[Path] | None, typer.Option("--with", help="copy this file or folder too")] = None,
) -> None:
    """Run any command in a fresh guest.

    Standard input, output and exit status pass through.
    """
    from harness.learner import relay
    from harness.run import payload

    files = payload.of_paths(with_files or [])
    cwd = Path.cwd() if files else Path("/root")
    raise typer.Exit(relay.run(opened("vm"), command, cwd=cwd, files=files))


@app.command("build", cls=InLab)
def lab_build() -> None:
    """Build what is missing: the disk image, the saved guest."""
    guest = built()
    show(f"the lab is ready: Linux {guest.facts.kernel} on {guest.facts.arch} under {guest.facts.accelerator}")


@app.command("status", cls=InLab)
def lab_status(
    as_json: Json = False,
    with_packages: Annotated[bool, typer.Option("--packages", help="only the guest's packages and versions")] = False,
) -> None:
    """Show what is built, and how.

    Exits 3 if nothing is built.
    """
    from harness.lab import saved
    from harness.lab.image import cache, packages, target

    chosen = target.chosen()
    guest = saved.find(chosen)
    if with_packages:
        found = guest.disk.packages if guest else {}
        show_json(found) if as_json else typer.echo(packages.text(found), nl=False)
        raise typer.Exit(0 if guest is not None else 3)
    facts = {"lab": str(chosen), "built": guest is not None}
    facts |= {"cache": str(cache.root()), "cache_mib": cache.size_bytes(cache.root()) >> 20}
    if guest is not None:
        facts |= asdict(guest.facts)
        facts |= {"disk_mib": cache.size_bytes(guest.disk.directory) >> 20}
        facts |= {"state_mib": cache.size_bytes(guest.directory) >> 20}
        facts |= {"packages": len(guest.disk.packages), "bcc": guest.disk.packages.get("python3-bpfcc", "unknown")}
    if as_json:
        show_json(facts)
    else:
        for name, value in facts.items():
            show(f"{name:<20} {value}")
    raise typer.Exit(0 if guest is not None else 3)


@app.command("clean")
def lab_clean() -> None:
    """Remove what was built, and the remembered accelerator."""
    from harness.lab import accelerator
    from harness.lab.image import cache

    size = cache.size_bytes(cache.root()) if cache.root().exists() else 0
    with cache.locked("build"):
        cache.clear()
        accelerator.forget()
    show(f"{size >> 20} MiB removed from {cache.root()}")


@app.command("soak", cls=InLab)
def lab_soak(
    restores: Annotated[int, typer.Option(help="how many guests, one after the other")] = 100,
    side_by_side: Annotated[int, typer.Option(help="guests at a time, enough to keep all cores busy")] = 2,
) -> None:
    """Restore many guests and put each under stress.

    The stress is forks, pipelines and a compile. Exits 3 on any fault.
    """
    from harness.measure import soak

    rounds = soak.soak(built(), restores, side_by_side, _show_restore)
    faulty = [one for one in rounds if one.fault]
    show(f"{len(rounds)} restores, {len(faulty)} with a fault", style="red" if faulty else "green")
    raise typer.Exit(3 if faulty else 0)


def _show_restore(one: soak.Round) -> None:
    note(f"{one.number:>4}  {one.seconds:5.1f} s  {one.fault or 'ok'}", style="red" if one.fault else "")


@app.command("interrupts", cls=InLab)
def lab_interrupts(
    times: Annotated[int, typer.Option(help="how many Ctrl-C, each in a fresh command")] = 50,
    longest: Annotated[float, typer.Option(help="the latest moment, in seconds after the start")] = 15,
    seed: Annotated[int | None, typer.Option(help="replay these moments")] = None,
    as_json: Json = False,
) -> None:
    """Interrupt commands at random; check for leftovers.

    Exits 3 on any fault.
    """
    from harness.measure import interrupts

    built()
    used = a_seed(seed)
    note(f"seed {used}")
    chosen = interrupts.commands(Path(sys.executable).parent)
    rounds = interrupts.interrupt(chosen, root(), times, longest, used, _show_interrupt)
    faulty = [one for one in rounds if one.faults]
    if as_json:
        show_json([asdict(one) for one in rounds])
    else:
        show(f"{len(rounds)} interrupts, {len(faulty)} with a fault", style="red" if faulty else "green")
    raise typer.Exit(3 if faulty else 0)


def _show_interrupt(one: interrupts.Round) -> None:
    what = f"{one.number:>4}  {one.delay_s:5.2f} s  {one.command}: exit {one.status}"
    note(f"{what}  {'; '.join(one.faults) or 'ok'}", style="red" if one.faults else "")
    if one.faults:
        note(one.screen, style="dim")


@app.command("bench", cls=InLab)
def lab_bench(
    runs: Annotated[int, typer.Option(help="samples of each measure")] = 10,
    raw: Annotated[Path | None, typer.Option(help="write all samples to this file, as JSON")] = None,
    as_json: Json = False,
) -> None:
    """Measure how long the lab takes.

    Medians of a restore, the first test, a whole lesson, the bare compile and a cold boot.
    """
    from harness.measure import bench
    from harness.screen import stages

    guest = built()
    with stages(err()) as say:
        samples = bench.measure(guest, pick("01"), runs, say)
    data = [asdict(sample) | {"median": sample.median} for sample in samples]
    if raw is not None:
        raw.write_text(json.dumps(data) + "\n")
    if as_json:
        show_json(data)
        return
    for one in samples:
        spread = f"{min(one.seconds):6.2f} to {max(one.seconds):6.2f}"
        show(f"{one.name:<18} {one.median:6.2f} s  ({spread})  {one.what}")


@app.command("latency", cls=InLab)
def lab_latency(
    lesson: Annotated[str, typer.Argument(help="the lesson whose reference is saved", metavar="[LESSON]")] = "01",
    saves: Annotated[int, typer.Option(help="how many saves")] = 20,
    as_json: Json = False,
) -> None:
    """Measure the time from save to verdict in watch.

    Medians of that time, and of the compile and the tests within it.
    """
    from harness.lab.virtual import VirtualLab
    from harness.measure import latency
    from harness.screen import stages

    with closing(VirtualLab(built())) as lab, stages(err()) as say:
        waits = latency.measure(lab, pick(lesson), saves, say)
    if as_json:
        show_json([asdict(wait) for wait in waits])
        return
    figures = {
        "save to verdict": [wait.to_verdict for wait in waits],
        "compile and tests": [wait.in_guest for wait in waits],
        "the harness": [wait.more for wait in waits],
    }
    for name, seconds in figures.items():
        middle = statistics.median(seconds)
        show(f"{name:<18} {middle:6.2f} s  ({min(seconds):6.2f} to {max(seconds):6.2f})")
