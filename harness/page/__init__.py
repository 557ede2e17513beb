"""A lesson in the browser: its page, its steps and verdicts as they come, on this machine for its owner alone."""
