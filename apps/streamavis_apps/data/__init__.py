"""Training and test data: make clips, check, count and bundle data sets."""
