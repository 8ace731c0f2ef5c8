"""`streamavis bench real`: a model on real pictures and recordings, against the goals for it."""
