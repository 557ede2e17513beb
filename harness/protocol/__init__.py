"""What both ends of the channel have: frames, messages, names."""
