"""The pages in docs/ as a static site: sources are staged, checked, built by Sphinx, and what was built is read again."""
