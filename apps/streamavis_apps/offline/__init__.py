"""`streamavis segment`: the offline network on a recording."""
