"""How long the lab takes, and whether it holds up."""
