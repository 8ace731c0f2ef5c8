"""`streamavis replay`: a recording to results."""
