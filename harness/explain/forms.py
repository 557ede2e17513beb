"""What loaders other than BCC make of the kernel's words, in the kernel's own form again.

libbpf and bpftool print the log between two marks, tc and bpftrace after a heading, cilium/ebpf on one
line or indented, Aya inside a quoted string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.explain import limits
from harness.protocol.shorten import shortened

ONE_LINE = re.compile(
    r"^(?P<before>.*\bload program: (?P<error>[a-z][a-z ]{3,40})): (?P<log>\S.*?)"
    r"(?: \((?:truncated, )?\d+ line\(s\) omitted\).*)?$",
    re.MULTILINE,
)
"""cilium/ebpf, VerifierError.Error(): the last lines of the log, joined by ": "."""
STEP = re.compile(r"^(\d{1,9}: \([0-9a-f]{2}\) [^:]*): (?=\S)")
QUOTED = re.compile(r"(?<=[^\\])\\n(?:\\t)?")
HEADED = re.compile(
    r"^(.*\b(?:verifier log|log)): (?=\d{1,9}: [(R]|func#\d|; )|^(?P<output>.*\bVerifier output): (?=\S)",
    re.MULTILINE,
)
LEADING = re.compile(
    r"^((?!libbpf)(?!.*load program: )[^\d\s:][^\n]{0,98}?[\]:|] {1,2})\d{1,9}: \([0-9a-f]{2}\) ", re.MULTILINE
)
MESSAGE = re.compile(r'^[^\n"]*\bmsg="([^"\n]*)"[^\n]*$', re.MULTILINE)
PREFIX = re.compile(r"^(?:libbpf: ?|[ \t]+)(?=\d{1,9}: [(R]|processed \d|; )", re.MULTILINE)
NOT_SAID = re.compile(
    r"^\s*(?:\d{1,9}: (?:\([0-9a-f]{2}\)|R\d)|; |R\d{1,2}(?:_\w+)?=|from \d|mark_precise|last_idx|parent |regs=|"
    r"frame\d|\d{1,9}:\t[0-9a-f]{2} )"
)
"""Lines of a verifier's log that are no words of any tool."""
FRAME = re.compile(r'  File "[^"]*", line \d+')
"""Above the source lines of a Python frame; 3.13 prints several, and marks below them."""
SAID_MAX = 64 << 10
"""Characters of what the tools said themselves; the longest in tests/explain/logs has some 3,000."""


def plain(text: str) -> str:
    """`text`, with the kernel's log in lines of its own."""
    if "\\n" in text and re.search(r"\\n\d{1,9}: \([0-9a-f]{2}\)", text):
        text = QUOTED.sub("\n", text)
    text = ONE_LINE.sub(_lines, _bare(text))
    return PREFIX.sub("", HEADED.sub(lambda found: f"{found[1] or found[2]}:\n", text))


def _bare(text: str) -> str:
    """`text` without what a journal, a container's or a logging library puts before each line of it."""
    if 'msg="' in text and re.search(r'\bmsg="\d{1,9}: \([0-9a-f]{2}\) ', text):
        return MESSAGE.sub(r"\1", text)
    found = LEADING.search(text)
    if not found:
        return text
    begin = re.sub(r"\d+", "\\\\d+", re.escape(found[1]))
    return re.sub(rf"^{begin}", "", text, flags=re.MULTILINE)


def _lines(found: re.Match[str]) -> str:
    log = STEP.sub(r"\1\n", found["log"])
    return f"{found['before']}\n{log}\n"


def said(text: str) -> str:
    """What the tools said: `text` without the verifier's steps and a traceback's code, cut to what is searched."""
    return shortened("\n".join(map(limits.message, _said(text))), SAID_MAX)


def _said(text: str) -> Iterator[str]:
    source = False
    for row in text.splitlines():
        source = bool(FRAME.match(row)) or (source and row.startswith("    "))
        if not (NOT_SAID.match(row) or (source and row.startswith("    "))):
            yield row
