"""Name plates beside objects: id, name, whether it is heard, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from streamavis.palette import DIM, INK, SOFT, WHITE, Colour, colour_of, mix
from streamavis.viz.sprites import Hearing, Layers, Sprite, loudspeaker, plate, text
from streamavis.words import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.types import Track

__all__ = ["LabelStyle", "Place", "draw_label", "icon", "line_of_text", "line_on_ink", "put"]

Place: TypeAlias = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(frozen=True)
class LabelStyle:
    """Sizes in pixels that suit a picture."""

    scale: float  # of the font
    line: int  # thickness of a sounding outline
    pad: int  # around text
    icon: int
    header: int  # height of a strip of text

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, height: int, width: int) -> LabelStyle:
        """Of a (height, width) picture."""
        side = min(height, width)
        scale = round(min(max(0.3 + side * 0.00045, 0.38), 1.2), 2)
        tall = text("A", scale).shape[0]
        pad = max(2, round(tall * 0.25))
        line = max(1, round(side / 240))
        return cls(scale, line, pad, icon=round(tall * 0.85), header=tall + pad)


def draw_label(
    canvas: NDArray[np.uint8],
    track: Track,
    box: Place,
    look: LabelStyle,
    taken: Sequence[Place],
) -> Place:
    """Put a track's label where it hides no other.

    Args:
        canvas: (H, W, 3) RGB, changed.
        track: to be named.
        box: where it is in the canvas.
        look: of the canvas.
        taken: places that should stay free.

    Returns:
        Where the label is.
    """
    hearing = _hearing(track)
    sprite = _label(name_of(track.label, track.id), colour_of(track.id), hearing, look)
    height, width = sprite.size
    x, y = _free_place(box, (height, width), canvas.shape[:2], look, taken)
    sprite.lay(canvas, x, y)
    if track.sounding is not None and hearing == "sounding":
        bar = max(2, look.pad // 2)
        left, top = x + look.pad, y + height - bar - 1
        full = width - 2 * look.pad
        cv2.rectangle(canvas, (left, top), (left + full - 1, top + bar - 1), DIM, -1)
        filled = left + round(full * track.sounding) - 1
        cv2.rectangle(canvas, (left, top), (filled, top + bar - 1), colour_of(track.id), -1)
    return x, y, x + width, y + height


@lru_cache(maxsize=256)
def line_of_text(words: str, colour: Colour, look: LabelStyle) -> Sprite:
    """A line on nothing, ready to be laid."""
    stencil = text(words, look.scale, bold=True)
    layers = Layers(*stencil.shape)
    layers.add(stencil, colour)
    return layers.sprite()


@lru_cache(maxsize=1024)
def line_on_ink(words: str, colour: Colour, look: LabelStyle) -> NDArray[np.uint8]:
    """(h, w, 3) RGB, a line on the colour of bars: to copy costs a quarter of laying it."""
    sprite = line_of_text(words, colour, look)
    picture = np.full((*sprite.size, 3), INK, np.uint8)
    sprite.lay(picture, 0, 0)
    return picture


def put(canvas: NDArray[np.uint8], picture: NDArray[np.uint8], x: int, y: int) -> None:
    """Copy a picture to (x, y), neither below 0; what is outside of `canvas` is cut."""
    below = canvas[y : y + picture.shape[0], x : x + picture.shape[1]]
    below[:] = picture[: below.shape[0], : below.shape[1]]


@lru_cache(maxsize=16)
def icon(hearing: Hearing, colour: Colour, look: LabelStyle) -> Sprite:
    """A loudspeaker."""
    layers = Layers(look.icon, look.icon)
    layers.add(loudspeaker(look.icon, hearing), colour)
    return layers.sprite()


def _free_place(
    box: Place,
    size: tuple[int, int],
    canvas: tuple[int, int],
    look: LabelStyle,
    taken: Sequence[Place],
) -> tuple[int, int]:
    """Left top corner for a (height, width) label: above its object if that is free."""
    (height, width), (left, top, _, bottom) = size, box
    x = min(max(left, 0), max(canvas[1] - width, 0))
    highest = max((y1 for x0, y0, x1, y1 in taken if y0 == 0 and x1 - x0 == canvas[1]), default=-1)
    highest, lowest = highest + 1, canvas[0] - height
    wishes = [top - height - look.pad, bottom + look.pad, top + look.pad]
    wishes += [(top + bottom - height) // 2]
    wishes += [below + 1 for *_, below in taken]
    fits = (
        wish
        for wish in wishes
        if highest <= wish <= lowest
        and not any(
            x < x1 and x0 < x + width and wish < y1 and y0 < wish + height
            for x0, y0, x1, y1 in taken
        )
    )
    return x, next(fits, max(min(wishes[0], lowest), highest))


@lru_cache(maxsize=512)
def _label(words: str, colour: Colour, hearing: Hearing, look: LabelStyle) -> Sprite:
    """`dog 3` on a dark plate, with a loudspeaker when it sounds or nobody knows."""
    name = text(words, look.scale, bold=True)
    pad = look.pad
    speaker = 0 if hearing == "silent" else look.icon + pad
    height = name.shape[0] + pad + (pad // 2 if hearing == "sounding" else 0)
    width = speaker + name.shape[1] + 3 * pad
    layers = Layers(height, width)
    muted = hearing != "sounding"
    layers.add(plate(height, width, pad), INK, opacity=0.72 if muted else 0.86)
    y = max(2, round(pad * 0.75))
    if speaker:
        shade = SOFT if muted else colour
        layers.add(loudspeaker(look.icon, hearing), shade, x=pad, y=pad // 2)
    tint = mix(colour, WHITE, 0.4) if muted else mix(colour, WHITE, 0.7)
    layers.add(name, tint, x=speaker + pad + pad // 2, y=y)
    return layers.sprite()


def _hearing(track: Track) -> Hearing:
    if track.sounding is None:
        return "unknown"
    return "sounding" if track.is_sounding else "silent"
