"""Why a program was refused, or saw no event: from what a report carries and from the files that ran.

`verdict` imports this only after such a failure: the rules cost a tenth of a second, and most checks need none.
"""

from __future__ import annotations

import re
from dataclasses import replace

from harness.course import regions
from harness.errors import HarnessFault
from harness.explain import causes
from harness.explain.causes import Cause
from harness.explain.ctext import Sources
from harness.explain.evidence import ATTACHING, LLVM, Evidence, of_gathered, stage_of
from harness.explain.explanation import Explanation, explain
from harness.protocol.facts import Activity, Facts, Program, Symbols
from harness.protocol.names import LOADER, REFUSALS
from harness.run.request import Request


def of_refusal(facts: Facts, request: Request, stderr: str) -> Explanation | None:
    """What is wrong with a program that BCC or the kernel refused; None where an exception says something else."""
    if facts.message.startswith(REFUSALS) or ATTACHING.match(facts.message):
        return explained(_evidence(facts, request, stderr))
    return None


def of_death(reason: str, request: Request, stderr: str) -> Explanation | None:
    """What LLVM's back end said before it ended the process; None where it said nothing."""
    return explained(_evidence(Facts(message=reason), request, stderr)) if LLVM.search(stderr) else None


ADVISED = ("bytes-and-str", "table-key", "stack-id", "struct-size", "keyword")
"""Rules that know what an exception of Python's means for somebody who uses BCC."""


def of_exception(facts: Facts, request: Request) -> Explanation | None:
    """What an exception of Python's means where BCC is used; None where no rule knows more than its words."""
    rows = [f'  File "{frame.path}", line {frame.line}, in {frame.name}' for frame in facts.frames]
    text = "\n".join([*rows, f"{facts.exception}: {facts.message}"])
    found = explained(replace(_evidence(replace(facts, gathered=None), request, text), stage="run"))
    return found if found.rule in ADVISED else None


PREFIX = re.compile(r"^(kprobe|kretprobe|tracepoint|raw_tracepoint|kfunc|kretfunc|lsm|bpf_iter|kmod_ret)__")
"""What libbcc takes off a function's name before the kernel sees it (bcc_prog_load_xattr in libbpf.c, BCC 0.35)."""
NAME_MAX = 15


def of_no_events(activity: Activity, request: Request, step: int | None) -> Cause | None:
    """Why no event was seen, if the kernel knows and the step is about the program that it knows it of."""
    source = request.files.get(request.code / f"{request.lesson.stem}.bpf.c", b"").decode(errors="replace")
    functions = regions.functions_of(source)
    named = [replace(one, name=_whole(one, functions, activity)) for one in activity.programs]
    region = request.regions.get(step or 0)
    about = [one for one in named if region and one.name in region.programs]
    if named and not about:
        return None
    # Its text says which maps are emptied again: that nothing is in one of those now means nothing.
    return causes.cause(replace(activity, programs=tuple(about)), Sources(source))


def _whole(program: Program, functions: list[str], activity: Activity) -> str:
    """The C function's name of a program; the kernel's own where several at the same place begin the same."""
    fits = [name for name in functions if program.name in (name, PREFIX.sub("", name)[:NAME_MAX])]
    if len(fits) > 1:
        targets = [one.target.replace(":", "__") for one in activity.attachments if one.program == program.id]
        fits = [name for name in fits if any(name.endswith(target) for target in targets)]
    return fits[0] if len(fits) == 1 else program.name


def explained(evidence: Evidence) -> Explanation:
    """The explanation of `evidence`; what breaks in the making of it is a fault of the workbook's, in one sentence."""
    try:
        return explain(evidence)
    except Exception as error:
        raise HarnessFault(f"{type(error).__name__} while a failure was explained: {error}") from error


def _evidence(facts: Facts, request: Request, stderr: str) -> Evidence:
    """What the guest gathered, else what was printed and raised."""
    own = {path: text.decode(errors="replace") for path, text in request.files.items() if path.suffix in (".c", ".py")}
    if facts.gathered is not None:
        known = of_gathered(facts.gathered, own)
        if known.stage != "ok":  # it may have failed once and not again
            return known
    program = request.code / f"{request.lesson.stem}.bpf.c"
    return Evidence(
        stage=stage_of(f"{stderr}\n{facts.message}"),
        text=stderr,
        files=own,
        file=request.code / LOADER,
        path=program,
        own=own.get(program, ""),
        exception=facts.exception,
        message=facts.message,
        frames=facts.frames,
        symbols=facts.symbols or Symbols(),
    )
