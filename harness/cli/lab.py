"""`workbook lab`: the virtual machine in which all code of the lessons runs."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from harness.cli.shared import PASS_ON, Json, err, opened, out, pick, root
from harness.screen import telling

app = typer.Typer(no_args_is_help=True, help="The virtual machine in which all code of the lessons runs.")


@app.command("exec", context_settings=PASS_ON)
def lab_exec(
    command: Annotated[list[str], typer.Argument(help="the command, after --")],
    with_files: Annotated[list[Path] | None, typer.Option("--with", help="a file or folder to take along")] = None,
) -> None:
    """Run any command in a fresh guest; standard input, output and exit status pass through."""
    from harness.learner import relay
    from harness.run import payload

    files = payload.of_paths(with_files or [])
    cwd = Path.cwd() if files else Path("/root")
    raise typer.Exit(relay.run(opened("vm"), command, cwd=cwd, files=files))


@app.command("build")
def lab_build() -> None:
    """Build what is missing: the disk image, the saved guest."""
    from harness.lab import saved

    with telling(err()) as say:
        guest = saved.ensure(say)
    out().print(Text(f"the lab is ready: Linux {guest.facts.kernel} under {guest.facts.accelerator}"))


@app.command("status")
def lab_status(as_json: Json = False) -> None:
    """What is built, and how."""
    from harness.lab import saved
    from harness.lab.image import cache

    guest = saved.find()
    facts = {"built": guest is not None, "cache": str(cache.root()), "cache_mib": cache.size_bytes(cache.root()) >> 20}
    if guest is not None:
        facts |= asdict(guest.facts)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        for name, value in facts.items():
            out().print(Text(f"{name:<20} {value}"))
    raise typer.Exit(0 if guest is not None else 3)


@app.command("clean")
def lab_clean() -> None:
    """Remove everything that was built, and the remembered accelerator."""
    from harness.lab import accelerator
    from harness.lab.image import cache

    size = cache.size_bytes(cache.root()) if cache.root().exists() else 0
    with cache.locked("build"):
        cache.clear()
        accelerator.forget()
    out().print(Text(f"{size >> 20} MiB removed from {cache.root()}"))


@app.command("soak")
def lab_soak(
    restores: Annotated[int, typer.Option(help="how many guests, one after the other")] = 100,
    side_by_side: Annotated[int, typer.Option(help="guests at a time: as many as it takes to keep the cores busy")] = 2,
) -> None:
    """Restore many guests and put each under stress: forks, pipelines, a compile. Exits 3 on any fault."""
    from harness.lab import saved
    from harness.measure import soak

    with telling(err()) as say:
        guest = saved.ensure(say)

    def tell(one: soak.Round) -> None:
        style = "red" if one.fault else ""
        err().print(Text(f"{one.number:>4}  {one.seconds:5.1f} s  {one.fault or 'ok'}", style=style))

    rounds = soak.soak(guest, restores, side_by_side, tell)
    faulty = [one for one in rounds if one.fault]
    out().print(Text(f"{len(rounds)} restores, {len(faulty)} with a fault", style="red" if faulty else "green"))
    raise typer.Exit(3 if faulty else 0)


@app.command("interrupts")
def lab_interrupts(
    times: Annotated[int, typer.Option(help="how many Ctrl-C, each on a fresh command")] = 50,
    longest: Annotated[float, typer.Option(help="the latest moment, in seconds after the start")] = 15,
    seed: Annotated[int | None, typer.Option(help="replay these moments")] = None,
    as_json: Json = False,
) -> None:
    """Type Ctrl-C at random moments into a learner's commands and look for what is left over. Exits 3 on any fault."""
    from harness.lab import saved
    from harness.measure import interrupts

    with telling(err()) as say:
        saved.ensure(say)
    used = seed if seed is not None else random.SystemRandom().randrange(1, 1_000_000)
    err().print(Text(f"seed {used}"))

    def tell(one: interrupts.Round) -> None:
        what = f"{one.number:>4}  {one.delay_s:5.2f} s  {one.command}: exit {one.status}"
        err().print(Text(f"{what}  {'; '.join(one.faults) or 'ok'}", style="red" if one.faults else ""))
        if one.faults:
            err().print(Text(one.screen, style="dim"))

    chosen = interrupts.commands(Path(sys.executable).parent)
    rounds = interrupts.interrupt(chosen, root(), times, longest, used, tell)
    faulty = [one for one in rounds if one.faults]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in rounds]))
    else:
        out().print(Text(f"{len(rounds)} interrupts, {len(faulty)} with a fault", style="red" if faulty else "green"))
    raise typer.Exit(3 if faulty else 0)


@app.command("bench")
def lab_bench(
    runs: Annotated[int, typer.Option(help="samples of each measure")] = 10,
    raw: Annotated[Path | None, typer.Option(help="write all samples to this file, as JSON")] = None,
    as_json: Json = False,
) -> None:
    """Medians of restore, first test, a whole lesson, the bare compile, a cold boot."""
    from harness.lab import saved
    from harness.measure import bench

    with telling(err()) as say:
        guest = saved.ensure(say)
        samples = bench.measure(guest, pick("01"), runs, say)
    data = json.dumps([asdict(sample) | {"median": sample.median} for sample in samples])
    if raw is not None:
        raw.write_text(data + "\n")
    if as_json:
        typer.echo(data)
        return
    for one in samples:
        spread = f"{min(one.seconds):6.2f} to {max(one.seconds):6.2f}"
        out().print(Text(f"{one.name:<18} {one.median:6.2f} s  ({spread})  {one.what}"))
