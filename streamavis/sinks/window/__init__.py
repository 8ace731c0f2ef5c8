"""A window in a process of its own: the sink, the process, and what they say to each other."""
