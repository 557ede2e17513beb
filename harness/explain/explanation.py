"""An explanation: made from evidence, by the first rule that fits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from harness.explain import causes, change, limits, near, places, verifier
from harness.explain.causes import Cause
from harness.explain.change import Change
from harness.explain.ctext import Place
from harness.explain.evidence import Evidence, of_log
from harness.explain.finding import Finding, bounded, find
from harness.explain.pointed import Places
from harness.explain.registers import TYPES
from harness.explain.rules import Rule, rules

UNKNOWN = "No rule explains this; stage: {stage}; the essential line is: {message}"
KINDS_MAX = 3
READABLE = "the address of something that the program may read: a variable of its own, a map's key or value and so on"
EMPTY = "The log is empty: there is nothing in it to explain."
EMPTY_ADVICE = "Errors go to standard error: COMMAND 2>&1 | workbook explain -"
ONE_LINE = "only this line: with the whole log, its place is named too"
C_PLACE = "/virtual/main.c:1:1: error: "
NO_BUFFER = re.compile(r"\bNo (?:ring|perf) buffers? to poll\b")
TROUBLE = "docs/troubleshooting.md"
UNSEEN = "It loads and attaches. Whether it sees events was not looked at: the kernel in this lab cannot count that."
LOOK = "Search the web for that line; the whole log says where it comes from."


@dataclass(frozen=True)
class Explanation:
    """What is said of one failure; `rule` is empty where none fits or nothing is wrong."""

    kind: str
    """compile, load, attach or run; silent: nothing came; ok: nothing is wrong; unknown: no rule fits; empty: an
    empty log; lab: it died."""
    rule: str = ""
    path: Path | None = None
    line: int | None = None
    column: int | None = None
    source: str = ""
    """That line."""
    cause: str = ""
    known: tuple[str, ...] = ()
    """What the kernel knew at that point."""
    advice: str = ""
    page: str = ""
    since: tuple[str, ...] = ()
    """Where the value at fault comes from."""
    mark: tuple[int, int] = (0, 0)
    """Column and width of what is underlined in the line; no width: all of it."""
    message: str = ""
    """The essential line of the log."""
    log: str = ""
    """All of it."""
    changes: tuple[Change, ...] = ()
    """What the advice means as lines of the learner's text; of several the first that helps is enough."""
    tried: str = ""
    """What happened when a change was tried; empty where none was."""
    helped: bool | None = None
    """Whether it did; None where none was tried."""

    def data(self, file: str) -> dict[str, object]:
        """The object that `--json` prints for `file`."""
        return {
            "kind": self.kind, "rule": self.rule, "file": str(self.path or file), "line": self.line,
            "cause": self.cause, "since": list(self.since), "advice": self.advice, "page": self.page,
            "message": self.message, "tried": self.tried, "helped": self.helped, "asked": file,
        }  # fmt: skip


def explain(evidence: Evidence) -> Explanation:
    """The explanation of a failure."""
    evidence = bounded(evidence)
    if evidence.stage == "ok":
        return _of_silence(evidence)
    if evidence.stage == "run" and not (evidence.text.strip() or evidence.exception or evidence.nothing_loaded):
        return Explanation("empty", path=evidence.file, cause=EMPTY, advice=EMPTY_ADVICE, page=TROUBLE)
    finding = find(evidence)
    if _accepted(evidence, finding):
        return Explanation("ok", path=evidence.file)
    whole = _whole(evidence)
    if evidence.exception == "KeyError" and (silent := _of_silence(evidence)).rule == "other-key":
        return replace(silent, path=finding.path, line=finding.line, source=_source(evidence, finding))
    if evidence.activity and NO_BUFFER.search(evidence.message) and (silent := _of_silence(evidence)).kind == "silent":
        return silent  # what was seen of the buffers says more than the exception
    for rule in rules():
        if (found := rule.match(evidence, finding)) is not None:
            return _made(rule, found.groups, evidence, replace(finding, message=found.message), whole)
    if evidence.stage == "run" and evidence.activity and (silent := _of_silence(evidence)).kind == "silent":
        return silent  # it raised because nothing had come
    if (alone := _of_one_line(evidence)) is not None:
        return alone
    if _healthy(evidence):
        return Explanation("ok", path=evidence.file)
    essence = finding.message or "none was found"
    return Explanation(
        "unknown", "", finding.path, finding.line, finding.column, _source(evidence, finding),
        UNKNOWN.format(stage=evidence.stage, message=essence), finding.known, _hint(evidence) or LOOK, TROUBLE,
        message=finding.message, log=whole,
    )  # fmt: skip


def _hint(evidence: Evidence) -> str:
    """BCC's own advice, which it prints below some refusals (bcc_prog_load_xattr(), src/cc/libbpf.c, 0.31)."""
    found = re.search(r"^HINT: (.+)$", evidence.said, re.MULTILINE)
    return f"BCC's hint: {found[1]}" if found else ""


def _healthy(evidence: Evidence) -> bool:
    """Whether a log has no complaint in it."""
    return evidence.stage == "run" and not (evidence.exception or evidence.complaints or evidence.nothing_loaded)


def _of_one_line(evidence: Evidence) -> Explanation | None:
    """Of one line of a log, as pages and forums quote them: read as the verifier's, else as the compiler's."""
    rows = [row.strip() for row in evidence.text.splitlines() if row.strip()]
    if evidence.stage != "run" or len(rows) != 1 or evidence.own or evidence.frames:
        return None
    for text in (f"{verifier.ANNOUNCED}: Permission denied\n{rows[0]}", f"{C_PLACE}{rows[0].removeprefix('error: ')}"):
        found = explain(of_log(text, evidence.file))
        if found.rule:
            return replace(found, line=None, column=None, source="", mark=(0, 0), known=(ONE_LINE,), log=evidence.text)
    return None


def _accepted(evidence: Evidence, finding: Finding) -> bool:
    """Whether this is a verifier's log that ends without a complaint."""
    ended = re.search(r"^processed \d+ insns", evidence.text, re.MULTILINE)
    return bool(ended) and evidence.stage == "load" and not (finding.message or evidence.program)


def _of_silence(evidence: Evidence) -> Explanation:
    """Nothing failed: all is well, or what was seen is wrong or nothing, and the kernel knows why."""
    seen = evidence.activity
    sources = evidence.sources
    found = causes.cause(seen, sources) if seen else causes.pointer_for_key(sources)
    if found is None:
        is_script = evidence.file is not None and evidence.file.suffix == ".py"
        came = causes.what_came(seen) if seen else UNSEEN if is_script else ""
        return Explanation("ok", path=evidence.file, cause=came)
    place = found.place or Place(evidence.file or Path(), 0)
    source = _row(evidence, place)
    tokens = [old for at, old, _ in found.swaps if at == place] + ["PT_REGS_RC"] * (found.kind == "at-entry")
    marks = (_mark(source, None, token, sure=True) for token in tokens)
    elsewhere = dict.fromkeys(at for at, _, _ in found.swaps if at != place)
    return Explanation(
        "silent", found.kind, place.path, place.line or None, source=source, cause=found.text, advice=found.advice,
        since=tuple(f"line {at.line}: {_row(evidence, at).strip()}" for at in elsewhere),
        mark=next((mark for mark in marks if mark[1]), (0, 0)), page=f"docs/silent.md#{found.kind}",
        log=evidence.text, changes=_swapped(found, evidence),
    )  # fmt: skip


def _row(evidence: Evidence, place: Place) -> str:
    """A line of the learner's, as much of it as is shown; empty where there is none."""
    rows = evidence.files.get(place.path, evidence.sources.own).splitlines()
    return limits.line(rows[place.line - 1]) if 0 < place.line <= len(rows) else ""


def _swapped(cause: Cause, evidence: Evidence) -> tuple[Change, ...]:
    """The change that the advice about a silent program means."""
    made = (change.swapped(evidence.files.get(at.path, ""), at.path, at.line, old, new) for at, old, new in cause.swaps)
    return tuple(filter(None, made))


def _made(rule: Rule, groups: dict[str, str], evidence: Evidence, finding: Finding, whole: str) -> Explanation:
    finding = _blamed(rule, evidence, finding)
    name = next((groups[key] for key in ("name", "other", "tag") if groups.get(key)), "")
    if "event" in groups:
        name = f"{groups['category']}:{groups['event']}"
    clang = groups.get("clang") or _clang_means(finding.message)
    found = {
        "message": finding.message, "function": "this program",
        "near": near.near(name, evidence, rule.id, groups.get("type", "")),
        "header": near.header_of(name, rule.defined) if rule.defined else "", "got_words": _kind(groups.get("got", "")),
        "warning": finding.warning, "wanted_words": _kinds(groups.get("wanted", "")),
    } | groups  # fmt: skip
    if clang:
        found["near"] = f"; did you mean {clang}?"
    if stack := re.search(r"in function (\w+)", finding.message):
        found["function"] = stack[1]
    more = places.of(rule.id, evidence, finding)
    if more.line:
        finding = replace(finding, line=more.line, column=None)
    source = _source(evidence, finding)
    token = more.token or groups.get("event") or name
    own = "" if rule.small_number or rule.line else more.advice  # a rule for just this kind of line knows better
    changes = _changes(rule, found, evidence, finding, more if more.advice == own else Places())
    if not own and changes and "{near}" in rule.cause and (meant := re.search(r"did you mean (.+)\?", found["near"])):
        own = f"Write {meant[1]} for {name}."
    advice = " ".join(filter(None, [own or _filled(rule.advice, found), finding.suggestion]))
    return Explanation(
        evidence.stage, rule.id, finding.path, finding.line, finding.column, source,
        _filled(rule.cause, found), _named(finding.known, more), advice, rule.page, more.since,
        _mark(source, finding.column, token, _is_sure(rule, groups, more)),
        finding.message, whole, changes,
    )  # fmt: skip


def _is_sure(rule: Rule, groups: dict[str, str], more: Places) -> bool:
    """Whether the token was looked for in the line, and is not only the name that a tool speaks of."""
    return bool(more.token or rule.line or rule.blames or groups.get("event"))


def _changes(
    rule: Rule, words: dict[str, str], evidence: Evidence, finding: Finding, more: Places
) -> tuple[Change, ...]:
    """The changes that the advice means: those of the places, else what the rule's words mean."""
    text = _text(evidence, finding.path)
    if "{near}" not in rule.cause:
        words = words | {"near": ""}
    own = more.changes or (change.of_words(rule.id, words, text, finding.path, finding.line),)
    return tuple(filter(None, own))


def _mark(source: str, column: int | None, token: str, sure: bool) -> tuple[int, int]:
    """Column and width of the token in the line, else of the word where the compiler is.

    `sure`: the token was found in this line; else it is only the name that the tool speaks of.
    """
    word = re.match(r"\w+", source[column - 1 :]) if column else None
    if token and (sure or column) and not (word and word[0] == token):
        for before in (r"(?<!struct )(?<![\w.>])", r"(?<!\w)"):  # a variable rather than a field or type of its name
            if found := re.search(rf"{before}{re.escape(token)}(?!\w)", source):
                return found.start() + 1, len(token)
    if column and (owner := re.search(r"\w+$", source[: column - 1])) and re.match(r"->|\.", source[column - 1 :]):
        return owner.start() + 1, len(owner[0])
    return column or 0, len(word[0]) if word else 1 if column else 0


def _named(known: tuple[str, ...], more: Places) -> tuple[str, ...]:
    """What the kernel knew, with the variable's name beside the register that holds it."""
    if not (more.register and more.token):
        return known
    begin = f"{more.register} is "
    return tuple(
        f"{more.token} ({more.register}) is {text.removeprefix(begin)}" if text.startswith(begin) else text
        for text in known
    )


def _filled(text: str, words: dict[str, str]) -> str:
    """`text` with its {words}; other braces are C."""
    given = {key: value or ("NAME" if key == "symbol" else "") for key, value in words.items()}
    return re.sub(r"\{([a-z_][a-z_0-9]*)\}", lambda found: given.get(found[1], found[0]), text)


def _blamed(rule: Rule, evidence: Evidence, finding: Finding) -> Finding:
    """The finding at the first place that the rule blames, from the refused instruction's line on if there is one."""
    if not rule.blames:
        return finding
    own = limits.source(evidence.own)
    before = own.splitlines(keepends=True)[: finding.line - 1] if finding.code and finding.line else []
    found = rule.blames.search(own, sum(map(len, before)))
    return replace(finding, line=own.count("\n", 0, found.start()) + 1) if found else finding


def _clang_means(message: str) -> str:
    """The name that clang itself proposes."""
    found = re.search(r"did you mean '([^']+)'\?", message)
    return found[1] if found else ""


def _kinds(wanted: str) -> str:
    """What a helper takes. The long list stands for any memory it may read (mem_types in verifier.c, Linux 6.12)."""
    names = [name.strip() for name in wanted.split(",")]
    return READABLE if len(names) > KINDS_MAX else " or ".join(map(_kind, names))


def _kind(name: str) -> str:
    return TYPES.get(name.removesuffix("_"), name)


def _source(evidence: Evidence, finding: Finding) -> str:
    """The line that is shown: the learner's, else as the log has it."""
    rows = _text(evidence, finding.path).splitlines()
    return rows[finding.line - 1] if finding.line and finding.line <= len(rows) else finding.shown


def _text(evidence: Evidence, path: Path | None) -> str:
    """The learner's text in `path`."""
    return evidence.own if path == evidence.path else evidence.files.get(path or Path(), "")


def _whole(evidence: Evidence) -> str:
    """All that was printed, and the verifier's log where that says more."""
    text = evidence.text.strip("\n")
    log = evidence.log.strip("\n")
    return "\n".join(filter(None, [text, log if log and log not in text else ""]))
