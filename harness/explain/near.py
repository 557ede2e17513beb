"""Names close to one that is not there, and the headers that define well-known ones (names.toml)."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path

from harness.explain.evidence import Evidence
from harness.explain.likeness import Work, most_alike
from harness.explain.lines import structures

CLOSE = 0.66
"""Names at least this similar are one name, mistyped."""

TYPES = "u8 u16 u32 u64 s8 s16 s32 s64 int long char bool size_t pid_t uid_t gid_t __be16 __be32 dev_t umode_t"

FIELD = re.compile(r"\b(\w+)\s*(?:\[[^\[\]]*\]\s*)?;")
NO_CODE = re.compile(r"//.*|/\*.*?\*/|\"[^\"]*\"")
"""Comments and texts in a line of C."""


@functools.cache
def headers() -> dict[str, dict[str, str]]:
    """The tables of names.toml: header → pattern of names, by what the names are."""
    return tomllib.loads((Path(__file__).parent / "names.toml").read_text())


def header_of(name: str, kind: str) -> str:
    """The header to include for `name`, a type, constant or function; empty where it is not known."""
    return next((header for header, names in headers()[kind].items() if re.fullmatch(names, name)), "")


def near(name: str, evidence: Evidence, rule: str, kind: str = "") -> str:
    """ "; did you mean X?" or a full stop; of a field only one of the record `kind`, where the tool names it."""
    if not name:
        return "."
    known = sorted(_candidates(name, evidence, rule, kind) - {name}, reverse=True)
    if (plain := name.removeprefix("data_loc_")) in known:
        return f"; did you mean {plain}?"
    words = set(name.split("_"))
    whole = [one for one in known if words < set(one.split("_"))] if len(words) > 1 else []
    if len(whole) == 1:  # the same words, and one was left out
        return f"; did you mean {whole[0]}?"
    place = most_alike([(one, name) for one in known], CLOSE, Work())
    return "." if place is None else f"; did you mean {known[place]}?"


def _candidates(name: str, evidence: Evidence, rule: str, kind: str) -> set[str]:
    """The names that may be meant where the rule says that there is no `name`."""
    if rule in ("symbol-not-found", "tracepoint-unknown", "not-traceable"):
        return set(evidence.symbols.near)
    text = evidence.rewritten or evidence.own  # the second has no tracepoint's structure
    if rule == "unknown-function":
        return set(re.findall(r"\b(\w+)\s*\(", evidence.own)) | set(headers()["helper"]["bcc/helpers.h"].split("|"))
    if rule == "unknown-type":
        found = {one for one, _ in structures(text)}
        return found | {f"struct {one}" for one in found if name.startswith("struct ")} | set(TYPES.split())
    if rule in ("unknown-field", "callback-exception", "struct-size"):
        record = kind.removeprefix("const ").removeprefix("struct ")
        return {one for type, body in structures(text) if record in ("", type) for one in FIELD.findall(body)}
    return set(re.findall(r"\b[A-Za-z_]\w+\b", NO_CODE.sub("", evidence.own)))
