"""A learner's own tool, tools/NAME: to the rooms that run and test lessons it is one without steps."""

from __future__ import annotations

import re
from pathlib import Path

from harness.course import files
from harness.course.catalog import EDITED, Lesson
from harness.errors import UsageError

TREE = "tools"
"""The folder in the checkout that holds them."""
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
NAME_MAX = 40
RULE = f"lower-case letters and digits, in words joined by hyphens, at most {NAME_MAX} of them, a letter first"


class Tool(Lesson):
    """What a lesson has, as far as a tool has it: it is its own reference, and takes no steps."""

    @property
    def name(self) -> str:
        return self.slug

    def folder(self, tree: str = TREE) -> Path:
        """The tool's folder, whichever tree is asked for."""
        return self.root / TREE / self.slug

    @property
    def edited(self) -> tuple[str, ...]:
        """Names of its files that a fault can be in."""
        names = [name.format(stem=self.stem) for name in EDITED]
        return tuple(name for name in names if files.exists(self.folder() / name))


def is_name(text: str) -> bool:
    """Whether a tool can have that name: lower-case words of letters and digits, joined by hyphens."""
    return bool(NAME.fullmatch(text)) and len(text) <= NAME_MAX


def named(root: Path, name: str) -> Tool:
    """The tool of that name in a checkout, be it there or not; UsageError where no tool can be called that."""
    if not is_name(name):
        raise UsageError(f"{name!r} is no name for a tool: {RULE}")
    return Tool(root, number=name, slug=name, title=name, topic=name, teaches=(), needs=(), steps=())


def find(root: Path, name: str) -> Tool | None:
    """The tool of that name in a checkout, if there is one."""
    if not is_name(name) or not files.exists(root / TREE / name / "loader.py"):
        return None
    return named(root, name)
