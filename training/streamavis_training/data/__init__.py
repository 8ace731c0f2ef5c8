"""Training data: readers of data sets, sampling of clips, mixing, and the loader."""
