"""One run over one lesson, and what it said."""
