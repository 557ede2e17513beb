"""Tools that learners write for themselves, in tools/NAME: started and tested in the lab, as lessons are."""
