"""The places of a fault in a call: a helper that the program may not use, a function of the C library, an argument."""

from __future__ import annotations

import re

from harness.explain import change, declared, limits
from harness.explain.evidence import Evidence
from harness.explain.finding import Finding
from harness.explain.pointed import Places, instead, row_of

HELPER = re.compile(r"\bbpf_\w+(?=#\d)")
"""As the verifier names the helper that is called."""
KINDS = {
    "xdp_md": "an XDP program", "__sk_buff": "a program for packets of a socket or of tc",
    "pt_regs": "a program for a kprobe or a uprobe", "bpf_perf_event_data": "a program for a perf event",
    "TRACEPOINT_PROBE": "a tracepoint's program", "RAW_TRACEPOINT_PROBE": "a raw tracepoint's program",
    "LSM_PROBE": "a program for an LSM hook", "KFUNC_PROBE": "an fentry program", "KRETFUNC_PROBE": "an fexit program",
}  # fmt: skip
SAME = {
    "printf": "bpf_trace_printk", "printk": "bpf_trace_printk", "memcpy": "__builtin_memcpy",
    "memset": "__builtin_memset", "memmove": "__builtin_memmove",
}  # fmt: skip
"""Functions that take the same arguments."""


def helper(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A helper that this type of program does not have."""
    first = declared.head(evidence.own, finding.line or 1)
    text = limits.line(row_of(evidence, first))
    kind = next((words for word, words in KINDS.items() if re.search(rf"\b{word}\b", text)), "")
    name = re.search(r"(\w+)\s*\(", text)
    since = (f"{name[1]} is {kind}, line {first}",) if name and kind and not name[1].endswith("_PROBE") else ()
    if kind and name and not since:
        since = (f"line {first} makes {kind}",)
    return Places(_called(finding, row), since)


def licence(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A helper that the program's licence does not allow."""
    found = declared.defined(evidence.own, "BPF_LICENSE")
    since = (f"BPF_LICENSE is {found[0]}, line {found[1]}",) if found else ()
    return Places(_called(finding, row), since)


def library(evidence: Evidence, finding: Finding, row: str) -> Places:
    """A function of the C library, of which another name does the same here."""
    found = re.search(r"function '(\w+)'", finding.message)
    name = found[1] if found else ""
    if name not in SAME or finding.path is None or not finding.line:
        return Places(name)
    changed = change.renamed(evidence.own, finding.path, finding.line, name, SAME[name])
    return Places(name, (), f"Write {SAME[name]} for {name}.", changes=(changed,))


def argument(evidence: Evidence, finding: Finding, row: str) -> Places:
    """An argument of a helper or of a map's method: the context that comes first, or a value in its address's place."""
    if submitted := re.search(r"\.\s*perf_submit\s*\(\s*([^,()]+?)\s*,", row):
        head = limits.line(row_of(evidence, declared.head(evidence.own, finding.line or 1)))
        context = (
            "args" if "TRACEPOINT_PROBE" in head else next(iter(re.findall(r"\(\s*struct \w+ \*\s*(\w+)", head)), "")
        )
        if re.search(r"expected=ctx", finding.message) and context and context != submitted[1]:
            whole = row_of(evidence, finding.line)
            begin = whole.index(submitted[0])
            new = whole[:begin] + submitted[0].replace(submitted[1], context) + whole[begin + len(submitted[0]) :]
            return Places(
                submitted[1], (), f"The context comes first: write {context} for {submitted[1]} here.",
                changes=(instead(evidence, finding, finding.line or 0, new),),
            )  # fmt: skip
    word = re.match(r"\w+", row[finding.column - 1 :]) if finding.column else None
    one = declared.variable(evidence.own, word[0], finding.line or 0) if word else None
    if not word or not one or one.pointer or one.length:
        return Places()
    whole = row_of(evidence, finding.line)
    place = (finding.column or 1) - 1
    new = f"{whole[:place]}&{whole[place:]}"
    return Places(
        word[0], (f"{one.name} is a {one.type}, line {one.line}, and its address is due",),
        f"Write &{one.name} for {one.name}.", changes=(instead(evidence, finding, finding.line or 0, new),),
    )  # fmt: skip


def _called(finding: Finding, row: str) -> str:
    """The helper that was refused, if the line calls it by that name."""
    found = HELPER.search(finding.message) or HELPER.search(finding.code)
    return found[0] if found and re.search(rf"\b{re.escape(found[0])}\b", row) else ""
