"""Results drawn on their frames."""

from streamavis.viz.overlay import colour_of, draw

__all__ = ["colour_of", "draw"]
