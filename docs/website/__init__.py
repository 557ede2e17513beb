"""The pages in docs/ as a static site: staged, checked, built by Sphinx, and read again."""
