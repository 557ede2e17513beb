"""Makes a text harmless to print: what a terminal would obey, or hide, is shown as its escape."""

from __future__ import annotations

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""C0 but tab and line feed, DEL, C1; marks of direction and invisible ones (Unicode 16, general category Cf);
surrogates, which no encoding can print."""


def visible(text: str) -> str:
    r"""`text`, with each such character as \x1b or \u202e; "\r\n" is a line's end as "\n" is."""
    return UNSEEN.sub(_escape, text.replace("\r\n", "\n"))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
