"""The page of `streamavis eval`: one HTML file that asks nobody for anything."""
