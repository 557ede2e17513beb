"""pytest beside the learner's code."""
