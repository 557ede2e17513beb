"""Entry point of the `workbook` command: an interrupt while Python still imports ends it as quietly as a later one."""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command line, with interrupts as exceptions from here on."""
    from harness import cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()
