"""The page of `streamavis eval`: one HTML file without external requests."""
