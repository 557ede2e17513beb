"""What runs beside the learner's code: inside the guest, or in place with `--lab host`.

Imports the standard library, pytest, bcc and harness.protocol; nothing of the host side.
"""
