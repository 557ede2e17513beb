"""What a learner asks for, one module for each."""
