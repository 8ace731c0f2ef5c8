"""Results drawn on their frames."""

from streamavis.viz.overlay import draw
from streamavis.viz.palette import PALETTE, colour_of, palette

__all__ = ["PALETTE", "colour_of", "draw", "palette"]
