"""What the verifier knew of a register, in words."""

from __future__ import annotations

import re

from harness.explain.verifier import Refusal

TYPES = {
    "scalar": "a number",
    "inv": "a number",
    "ctx": "the context that the program is called with",
    "fp": "an address on the program's stack",
    "map_ptr": "a map",
    "map_value": "an address inside a map's value",
    "map_value_or_null": "an address inside a map's value, or NULL",
    "map_key": "an address inside a map's key",
    "pkt": "an address inside the packet",
    "pkt_end": "the packet's end",
    "pkt_meta": "an address in the packet's metadata",
    "ringbuf_mem": "room in a ring buffer",
    "ringbuf_mem_or_null": "room in a ring buffer, or NULL",
    "alloc_mem": "room in a ring buffer",
    "alloc_mem_or_null": "room in a ring buffer, or NULL",
    "mem": "an address of memory",
    "mem_or_null": "an address of memory, or NULL",
    "rdonly_mem": "an address of memory that may only be read",
    "sock": "a socket",
    "sock_or_null": "a socket, or NULL",
    "ptr_": "a kernel structure",
}
STATE = re.compile(r"^(?P<type>[a-z_]*)P?(?P<value>-?(?:0x[0-9a-f]{1,16}|\d{1,20}))?(?:\((?P<facts>.*)\))?$")
FACT = re.compile(r"(?:[^,()]|\([^()]*\)?|\))+")
"""What is between two commas, those in parentheses aside."""
LIMIT = re.compile(r"program is too large|jumps is too complex")
"""do_check() and push_stack(), kernel/bpf/verifier.c, Linux 6.12."""


def in_words(refusal: Refusal) -> list[str]:
    """A sentence for each register that the message or its instruction names.

    None where the verifier came to its limit: the instruction that it was at then has no fault.
    """
    if LIMIT.search(refusal.message):
        return []
    read = re.sub(r"(\) )r\d+ = ", r"\1", refusal.code)  # what an instruction makes does not matter, it was refused
    named = re.findall(r"\b[Rr](\d{1,2})\b", f"{refusal.message} {read}")
    wanted = [f"R{number}" for number in dict.fromkeys(named) if number != "10"]
    known = dict(refusal.registers)
    return [f"{name} is {sentence}" for name in wanted if (sentence := describe(known.get(name, "")))]


def describe(state: str) -> str:
    """`map_value(map=n,ks=4,vs=64,umax=120)` in words."""
    found = STATE.match(state)
    if not state or not found:
        return ""
    kind, facts = found["type"], _facts(found["facts"] or "")
    if kind in ("", "scalar", "inv") and found["value"] is not None:
        return f"the number {_number(found['value'])}"
    words = TYPES.get(kind) or next((text for name, text in TYPES.items() if kind.startswith(name)), kind)
    for name in ("map", "vs", "sz"):
        if name in facts:
            words += {"map": " (map {})", "vs": " of {} bytes", "sz": " of {} bytes"}[name].format(facts[name])
    if kind == "fp" and found["value"]:
        words += f" ({found['value']} from its top)"
    if facts.get("off", "0") != "0":
        words += f", {facts['off']} bytes in"
    if "r" in facts and kind.startswith("pkt"):
        words += f", of which {facts['r']} bytes are known to be there"
    return words + _bounds(kind, facts)


def constant(state: str) -> int | None:
    """The number that a register holds, if it is known."""
    found = STATE.match(state)
    known = found and found["type"] in ("", "scalar", "inv") and found["value"] is not None
    return _number(found["value"]) if found and known else None


def _number(text: str) -> int:
    """The number that the kernel printed with %d or %#x: a leading zero is no sign of an octal one."""
    return int(text, 16 if "x" in text else 10)


def _facts(text: str) -> dict[str, str]:
    """`smin=smin32=0,smax=7,var_off=(0x0; 0x7)` as names and values; names that share one value each get it."""
    found: dict[str, str] = {}
    for part in FACT.findall(text):
        *names, value = part.split("=") if "=" in part else [part, ""]
        found |= dict.fromkeys(names, value)
    return found


def _bounds(kind: str, facts: dict[str, str]) -> str:
    low = next((facts[name] for name in ("smin", "smin_value", "umin", "umin_value") if name in facts), None)
    high = next((facts[name] for name in ("umax", "umax_value", "smax", "smax_value") if name in facts), None)
    if low is None and high is None:
        return "; nothing is known of its value" if kind in ("scalar", "inv") else ""
    what = "" if kind in ("scalar", "inv") else " further on"
    if high is None:
        return f", {low} or more{what}"
    return f", from {low or '0'} to {high}{what}"
