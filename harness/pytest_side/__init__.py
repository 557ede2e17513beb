"""pytest on the host: collects here, runs there, reports here."""
