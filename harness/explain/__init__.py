"""Why a program did not compile, load, attach or run, in plain English, at the learner's own line."""
