"""`streamavis predict` and `streamavis reproduce`: from a data set to predictions and tables."""
