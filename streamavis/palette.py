"""The colours every viewer draws with, here and in a browser: one list, one meaning each.

The colours of tracks can be told apart with any of the three dichromacies (simulated after
Machado, Oliveira, Fernandes, IEEE TVCG 15(6), 2009), and lie between CIE L* 54 and 93, so that
they show on dark film and carry dark text. What sounds is never told by colour alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from streamavis.types import AudioState, SourceState

__all__ = [
    "ALERT",
    "BLACK",
    "DIM",
    "GOOD",
    "INK",
    "PALETTE",
    "SOFT",
    "STATE_COLOURS",
    "WARN",
    "WHITE",
    "Colour",
    "colour_of",
    "mix",
    "palette",
]

Colour: TypeAlias = tuple[int, int, int]  # RGB, 0..255

# Of track 1, 2, ...: neighbours in this list are furthest apart.
PALETTE: tuple[Colour, ...] = (
    (110, 246, 255),
    (238, 44, 154),
    (182, 248, 30),
    (150, 94, 255),
    (255, 234, 150),
    (212, 118, 92),
    (150, 180, 255),
    (180, 152, 0),
)
BLACK: Colour = (0, 0, 0)
INK: Colour = (14, 17, 23)  # behind text
DIM: Colour = (70, 76, 88)  # what is off
SOFT: Colour = (178, 186, 198)  # text of second rank
WHITE: Colour = (255, 255, 255)
GOOD: Colour = (126, 231, 150)
WARN: Colour = (255, 190, 80)
ALERT: Colour = (255, 104, 96)
# Of the states of sound and of sources; a word always stands beside the colour.
STATE_COLOURS: dict[AudioState | SourceState, Colour] = {
    "ok": GOOD,
    "running": GOOD,
    "gap": WARN,
    "starting": WARN,
    "stalled": WARN,
    "reconnecting": WARN,
    "lost": ALERT,
    "failed": ALERT,
    "absent": SOFT,
    "ended": SOFT,
}


def colour_of(track_id: int) -> Colour:
    """The colour an id always has."""
    return PALETTE[(track_id - 1) % len(PALETTE)]


@lru_cache(maxsize=1024)
def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`share` of `other` in `colour`."""
    red, green, blue = (
        round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True)
    )
    return red, green, blue


def palette() -> dict[str, object]:
    """All of it as plain values, for a viewer that cannot import this: `tracks`, `states`, ...

    Track n has the colour `tracks[(n - 1) % len(tracks)]`; each is `[r, g, b]`.
    """
    names = {"ink": INK, "dim": DIM, "soft": SOFT, "white": WHITE}
    levels = {"good": GOOD, "warn": WARN, "alert": ALERT}
    return {
        "tracks": [list(colour) for colour in PALETTE],
        "states": {state: list(colour) for state, colour in STATE_COLOURS.items()},
        **{name: list(colour) for name, colour in (names | levels).items()},
    }
