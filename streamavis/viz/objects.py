"""Paint an object where it is: a tint, an outline, and rings of light around what sounds.

Work is done inside the object's box only, the light at a quarter of the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.palette import BLACK, INK, WHITE, mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.palette import Colour
    from streamavis.viz.patch import Patch

__all__ = ["ObjectSound", "paint"]

_SHRINK = 4  # the light is computed at 1 / this of the size
_LARGE = 64  # pixels on a side
_SLACK = 0.5  # traced pixels that an outline may be off, for fewer corners
_TINT, _SOUNDING_TINT = 0.2, 0.4  # share of the object's colour inside it
_RINGS = 24  # steps in which a ring moves outward


@dataclass(frozen=True)
class ObjectSound:
    """How an object is heard in this frame."""

    sounding: float  # 0..1, the probability
    loudness: float = 1.0  # 0..1, of the sound as a whole
    phase: float = 0.0  # 0..1, how far the ring has moved outward

    @property
    def strength(self) -> float:
        """0..1, how bright the light is."""
        return self.sounding * (0.4 + 0.6 * self.loudness)


def paint(
    canvas: NDArray[np.uint8], cut: Patch, colour: Colour, voice: ObjectSound | None, line: int
) -> tuple[int, int, int, int]:
    """Draw one object into `canvas`.

    Args:
        canvas: (H, W, 3) RGB, changed.
        cut: the object's mask.
        colour: the track's.
        voice: of an object that sounds; None: it does not, or nobody knows.
        line: thickness of an outline, pixels.

    Returns:
        x0, y0, x1, y1 of its largest part: crumbs that lie elsewhere do not count.
    """
    height, width = cut.mask.shape
    below = canvas[cut.y : cut.y + height, cut.x : cut.x + width]
    share = _TINT if voice is None else _SOUNDING_TINT
    outlines = _outlines(cut)
    if voice is not None:
        _light(canvas, cut, colour, voice, line)
    faded = cv2.convertScaleAbs(below, alpha=1 - share)
    cv2.add(faded, np.array([*mix(BLACK, colour, share), 0.0]), dst=below, mask=cut.mask)
    if voice is None:
        cv2.polylines(canvas, outlines, True, mix(colour, INK, 0.75), line + 1, cv2.LINE_8)
        cv2.polylines(canvas, outlines, True, colour, max(1, line // 2), cv2.LINE_AA)
    else:
        cv2.polylines(canvas, outlines, True, mix(colour, INK, 0.55), 2 * line + 3, cv2.LINE_8)
        cv2.polylines(canvas, outlines, True, colour, 2 * line + 1, cv2.LINE_8)
        core = max(1, line // 2)
        edge = cv2.LINE_AA if core == 1 else cv2.LINE_8  # smooth and thick costs as all the rest
        cv2.polylines(canvas, outlines, True, mix(colour, WHITE, 0.8), core, edge)
    if not outlines:  # it was scaled until nothing was left
        return cut.x, cut.y, cut.x + width, cut.y + height
    left, top, width, height = cv2.boundingRect(max(outlines, key=cv2.contourArea))
    return left, top, left + width, top + height


def _outlines(cut: Patch) -> Sequence[NDArray[np.int32]]:
    """Of a mask and its holes, in canvas pixels; of a large one to two pixels, at half the cost."""
    large = min(cut.mask.shape) >= _LARGE
    # Every second pixel may miss all of a mask of crumbs.
    return (_traced(cut, 2) if large else []) or _traced(cut, 1)


def _traced(cut: Patch, step: int) -> Sequence[NDArray[np.int32]]:
    framed = np.zeros([-(-side // step) + 2 for side in cut.mask.shape], np.uint8)
    framed[1:-1, 1:-1] = cut.mask[::step, ::step]
    found, _ = cv2.findContours(framed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_KCOS)
    corner = np.array([cut.x - step, cut.y - step], np.int32)
    # Each corner of a thick line costs a disc, so only those that can be seen.
    return [
        np.asarray(step * cv2.approxPolyDP(outline, _SLACK, True) + corner, np.int32)
        for outline in found
    ]


def _light(
    canvas: NDArray[np.uint8], cut: Patch, colour: Colour, voice: ObjectSound, line: int
) -> None:
    """Light around a mask, and a ring in it that moves outward."""
    margin = max(2, round(10 * line / _SHRINK))  # how far it reaches, at the small size
    # From the middle of each cell: from its corner, the light would lie beside its object.
    middle = [min(_SHRINK // 2, side - 1) for side in cut.mask.shape]
    cells = cut.mask[middle[0] :: _SHRINK, middle[1] :: _SHRINK] * np.uint8(255)
    small = cv2.copyMakeBorder(cells, *(margin,) * 4, cv2.BORDER_CONSTANT, value=0)
    span = 2 * max(1, round(margin / 2)) + 1
    # Blurred twice by a box, the edge becomes a ramp that tells how far away the mask is.
    near = cv2.blur(cv2.blur(small, (span, span)), (span, span))
    lights = cv2.applyColorMap(near, _falloff(colour, round(voice.phase * _RINGS) % _RINGS))
    lights = cv2.convertScaleAbs(lights, alpha=voice.strength)
    lights = cv2.resize(lights, None, fx=_SHRINK, fy=_SHRINK)
    left, top = cut.x - margin * _SHRINK, cut.y - margin * _SHRINK
    x0, y0 = max(left, 0), max(top, 0)
    below = canvas[y0 : top + lights.shape[0], x0 : left + lights.shape[1]]
    over = lights[y0 - top :, x0 - left :][: below.shape[0], : below.shape[1]]
    cv2.add(below, over, dst=below)


@lru_cache(maxsize=1024)
def _falloff(colour: Colour, ring: int) -> NDArray[np.uint8]:
    """(256, 1, 3) light by nearness: 255 is inside the mask and dark, 128 its edge."""
    away = 1 - np.arange(256) / 128  # 0 at the edge, 1 where the light ends
    phase = ring / _RINGS
    wave = np.exp(-(((away - phase) / 0.16) ** 2)) * (1 - phase)
    light = np.where(away >= 0, 0.8 * (1 - away) ** 1.5 + 1.1 * wave * (1 - away) ** 0.5, 0.0)
    return np.clip(light[:, None, None] * np.array(colour), 0, 255).astype(np.uint8)
