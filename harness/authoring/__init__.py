"""The author's check, and what keeps pages and code together."""
