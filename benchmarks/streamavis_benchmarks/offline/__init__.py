"""What the offline network takes: time per part, and memory of a long recording."""
