"""The names of BCC and of the kernel: which lesson teaches each; no page has an unknown one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from harness.authoring import teaching
from harness.course.catalog import Course, Lesson
from harness.page import blocks

MENTIONED = "docs/website/mentioned.toml"
SPAN = re.compile(r"`([^`\n]+)`")
METHOD = re.compile(r"\b(BPF|USDT|Table|bpf)\.(\w+)\b")
HEADING = re.compile(r"(#{2,}) (.*)")
ROW = re.compile(r"^\|([^|]*`[^|]*)\| ([^|]+) \|", re.MULTILINE)
PYTHON = "In Python"
MACROS = "In C: macros and flags"
HELPERS = "In C: helpers and methods of maps"


@dataclass(frozen=True)
class Known:
    """All names that a page may have."""

    taught: dict[str, tuple[Lesson, ...]]
    mentioned: dict[str, str]
    """Names that no lesson teaches and a page has all the same, with what each is."""
    declared: frozenset[str]
    """Of bcc's type stubs, in the index's spelling."""

    @classmethod
    def load(cls, course: Course) -> Known:
        """What the lessons teach, what mentioned.toml explains, what bcc has."""
        taught: dict[str, tuple[Lesson, ...]] = {}
        for lesson in course:
            for name in lesson.teaches:
                taught[name] = (*taught.get(name, ()), lesson)
        mentioned = tomllib.loads((course.root / MENTIONED).read_text())
        return cls(taught, mentioned, frozenset(teaching.methods().values()))

    def has(self, name: str) -> bool:
        """Whether a page may have `name`."""
        return name in self.taught or name in self.mentioned or name in self.declared

    def faults(self, page: str, lines: list[str]) -> Iterator[str]:
        """Names in `page`'s code spans that are spelt like BCC's and that neither a lesson nor BCC knows."""
        for number, line in enumerate(lines, 1):
            for span in SPAN.findall(line):
                for name in found(span):
                    if not self.has(name):
                        yield f"{page}:{number}: unknown name {name}; next: fix it, or explain it in {MENTIONED}"

    def misspelt(self, course: Course) -> Iterator[str]:
        """Methods in a lesson.toml that bcc's type stubs do not have."""
        for lesson in course:
            for name in lesson.teaches:
                if "." in name and _python(name) and name not in self.declared:
                    yield f"lessons/{lesson.name}/lesson.toml: unknown name {name}; bcc's type stubs do not have it"


def found(span: str) -> list[str]:
    """The names that a code span is or calls, in the index's spelling; a message that is quoted has others.

    `BPF.name` stands for any method.
    """
    methods = [
        (match, f"{match[1].replace('bpf', 'BPF')}.{match[2]}") for match in METHOD.finditer(span) if match[2] != "name"
    ]
    others = [(match, match[0]) for match in teaching.C_NAME.finditer(span)]
    return [name for match, name in methods + others if match[0] == span or span[match.end() :].startswith("(")]


def _python(name: str) -> bool:
    return name.startswith(("BPF.", "USDT."))


def anchor(name: str) -> str:
    """The id of a name's row."""
    return re.sub(r"[^a-z0-9]+", "-", f"name-{name}".lower())


def spelling(span: str, known: Known) -> str | None:
    """The taught name that a whole code span is about, as `bpf.attach_kprobe(event=…)` is; None where there is none."""
    bare = re.sub(r"\(.*", "", span).strip()
    names = [bare, *(found(bare)[:1] if re.fullmatch(r"\w+(\.\w+)?", bare) else [])]
    return next((name for name in names if name in known.taught), None)


def page(course: Course, known: Known, pages: dict[str, str]) -> str:
    """The index of all names, as a page."""
    parts: dict[str, list[str]] = {PYTHON: [], MACROS: [], HELPERS: []}
    for name in sorted(known.taught, key=str.lower):
        parts[_part(name, known)].append(_row(name, known.taught[name], pages))
    lines = ["# Names, and the lesson that teaches each", ""]
    lines += [f"The {len(known.taught)} names of BCC and of the kernel that the lessons teach."]
    lines += ["`Table` is any map, by its name in your program."]
    for title, rows in parts.items():
        lines += ["", f"## {title}", "| name | in the lesson's words | lesson |", "|---|---|---|", *rows]
    lines += ["", "## Mentioned, not taught", "| name | what it is |", "|---|---|"]
    there = {name for text in pages.values() for span in SPAN.findall(text) for name in found(span)}
    lines += [f"| `{name}` | {known.mentioned[name]} |" for name in sorted(there & set(known.mentioned), key=str.lower)]
    return "\n".join(lines) + "\n"


def _part(name: str, known: Known) -> str:
    if name.startswith("Table."):
        return PYTHON if name in known.declared else HELPERS
    if re.match(r"bpf_|lock_", name):
        return HELPERS
    return MACROS if re.fullmatch(r"[A-Z0-9_]{5,}", name) else PYTHON


def _row(name: str, lessons: tuple[Lesson, ...], pages: dict[str, str]) -> str:
    texts = [pages[lesson.page.stem] for lesson in lessons if lesson.page.stem in pages]
    words = next(filter(None, (_words(name, text) for text in texts)), "")
    links = ", ".join(f"[{lesson.name}]({_place(name, lesson, pages)})" for lesson in lessons)
    return f"| `{name}`{{#{anchor(name)}}} | {words} | {links} |"


def _mentions(name: str, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}\b|\.{re.escape(name.rpartition('.')[2])}\b", text)


def _words(name: str, text: str) -> str:
    """What a page's table says of `name`."""
    return next((words.strip() for span, words in ROW.findall(text) if _mentions(name, span)), "")


def _place(name: str, lesson: Lesson, pages: dict[str, str]) -> str:
    """The lesson's page, at the section that first has the name."""
    section = ""
    for line in pages.get(lesson.page.stem, "").splitlines():
        heading = HEADING.fullmatch(line)
        section = blocks.anchor(heading[2]) if heading else section
        if _mentions(name, line):
            break
    else:
        section = ""
    return lesson.page.name + (f"#{section}" if section else "")
