"""`streamavis bench live`: the real command on rigs, measured by a subscriber."""
