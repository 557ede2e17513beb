"""The kernel's error number in a line, by whatever name a tool prints it: -13, (13), EACCES, "Permission denied"."""

from __future__ import annotations

import errno
import os
import re

NAMES = {
    **errno.errorcode,
    errno.EOPNOTSUPP: "EOPNOTSUPP",
    errno.EAGAIN: "EAGAIN",
    errno.EDEADLK: "EDEADLK",
    524: "ENOTSUPP",
}
"""524 never leaves the kernel by design, and does: include/linux/errno.h, Linux 6.12."""
WORDS = {os.strerror(number).lower(): name for number, name in NAMES.items()} | {"unknown error 524": "ENOTSUPP"}
TEXT = re.compile("|".join(sorted(map(re.escape, WORDS), key=len, reverse=True)), re.IGNORECASE)
NAME = re.compile(rf"\b(?:{'|'.join(NAMES.values())})\b")
NUMBER = re.compile(
    r"(?i)(?:\berrno\b[ =:]*|\bos error |\berr(?:or)?[ =:]+|\bret(?:urned)?[ =:]+|[:( ]-|\((?=524\)))"
    r"-?(\d{1,3})\b(?!\.)"
)


def name(line: str) -> str:
    """The name of the number, such as EACCES; empty where the line has none. A name stands before words and digits."""
    if found := NAME.search(line):
        return found[0]
    if found := TEXT.search(line):
        return WORDS[found[0].lower()]
    numbers = (NAMES.get(int(found[1]), "") for found in NUMBER.finditer(line))
    return next(filter(None, numbers), "")
