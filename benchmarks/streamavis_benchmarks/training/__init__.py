"""`streamavis bench training`: short runs that show that teacher and distillation work."""
