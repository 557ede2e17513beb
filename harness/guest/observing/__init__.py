"""Asks the kernel and BCC what is there, what ran and why something failed; no pytest in here."""
