"""The course's files as data: lessons, stubs, mutants, and what of them travels."""
