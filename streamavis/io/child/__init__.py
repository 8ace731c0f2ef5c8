"""A device in a process of its own: the program, the messages, the parent's side."""
