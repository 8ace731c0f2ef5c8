"""`streamavis train`: settings, processes, progress and the folder of a run."""
