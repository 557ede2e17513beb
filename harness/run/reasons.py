"""Why a program was refused, or saw no event: from what a report carries and from the files that ran.

`verdict` imports this only after such a failure: the rules cost a tenth of a second, and most checks need none.
"""

from __future__ import annotations

from harness.errors import HarnessFault
from harness.explain import causes
from harness.explain.causes import Cause
from harness.explain.evidence import ATTACHING, LLVM, Evidence, of_gathered, stage_of
from harness.explain.explanation import Explanation, explain
from harness.protocol.facts import Activity, Facts, Symbols
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


def of_no_events(activity: Activity) -> Cause | None:
    """Why no event was seen, if the kernel knows."""
    return causes.cause(activity)


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
