"""What runs beside the learner's code: inside the guest, or in place with `--lab host`.

Imports the standard library, pytest and bcc only; nothing of the host side.
"""

LEARNERS_TEST = "test_mine.py"
"""The learner's own test of a lesson: written before the code that it tests, so it never blocks a step."""
