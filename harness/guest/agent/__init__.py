"""Process 1 of the guest: takes requests, starts one child for each, streams back what it does."""
