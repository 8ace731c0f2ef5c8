"""The detected audio classes, the most probable first, each with its probability."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import cv2

from streamavis.palette import DIM, GOOD, SOFT, WHITE
from streamavis.viz.hud import fill
from streamavis.viz.labels import line_on_ink, put
from streamavis.words import UNKNOWN, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamavis.viz.labels import LabelStyle

__all__ = ["MOST_KINDS", "Kinds", "draw_kinds", "kinds_width"]

Kinds: TypeAlias = "Sequence[tuple[str, float]]"  # name, probability; the likeliest first

MOST_KINDS = 5  # that a viewer names
_LEAST = 0.05  # what is less likely is noise to the reader
_NOTHING = "none of its classes"


def kinds_width(look: LabelStyle) -> int:
    """Pixels that suit the panel: always the same, so that nothing moves as names change."""
    return line_on_ink("acoustic guitar 100 %", SOFT, look).shape[1] + 2 * look.pad


def draw_kinds(canvas: NDArray[np.uint8], kinds: Kinds | None, look: LabelStyle) -> list[str]:
    """Fill a (height, width, 3) panel with a line for each kind, as many as fit.

    Args:
        canvas: RGB, changed.
        kinds: what is heard; None: unknown.
        look: of the picture.

    Returns:
        The words that are shown.
    """
    fill(canvas)
    height, width = canvas.shape[:2]
    likely = [kind for kind in kinds or () if kind[1] >= _LEAST]
    if not likely:
        words = UNKNOWN if kinds is None else _NOTHING
        put(canvas, line_on_ink(words, SOFT, look), 0, 0)
        return [words]
    bar = max(2, look.pad // 2)
    rows = max(1, height // look.header)
    room = width - line_on_ink("100 %", WHITE, look).shape[1] - look.pad
    told = []
    for row, (name, share) in enumerate(likely[:rows]):
        top = row * height // rows
        foot = top + look.header - look.pad // 2
        colour, tint = (WHITE, GOOD) if share >= 0.5 else (SOFT, SOFT)
        shown, number = _shortened(name, look, room), percent(share)
        put(canvas, line_on_ink(shown, colour, look), 0, top)
        figure = line_on_ink(number, colour, look)
        put(canvas, figure, max(0, width - figure.shape[1]), top)
        cv2.rectangle(canvas, (0, foot - bar), (width - 1, foot - 1), DIM, -1)
        cv2.rectangle(canvas, (0, foot - bar), (round(share * width) - 1, foot - 1), tint, -1)
        told.append(f"{shown} {number}")
    return told


@lru_cache(maxsize=256)
def _shortened(name: str, look: LabelStyle, room: int) -> str:
    """As much of a name as has room, in pixels."""
    shown, left = name, len(name)
    while left and line_on_ink(shown, SOFT, look).shape[1] > room:
        left -= 1
        shown = name[:left].rstrip() + "…"
    return shown
