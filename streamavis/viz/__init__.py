"""Results drawn on their frames."""

from streamavis.palette import PALETTE, colour_of, palette
from streamavis.viz.overlay import draw

__all__ = ["PALETTE", "colour_of", "draw", "palette"]
