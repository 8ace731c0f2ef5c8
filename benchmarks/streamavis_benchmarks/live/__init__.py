"""`streamavis bench live`: the real command on rigs, as a robot at the other end sees it."""
