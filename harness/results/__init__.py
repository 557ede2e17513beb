"""What a run in the lab said, sorted and put into words."""
