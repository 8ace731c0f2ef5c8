"""`streamavis live`: cameras and microphones to results."""
