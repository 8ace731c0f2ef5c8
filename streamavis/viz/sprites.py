"""Small pictures with soft edges: text, rounded plates, loudspeakers. Drawn once, then kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.palette import Colour

__all__ = ["Hearing", "Layers", "Sprite", "loudspeaker", "plate", "text"]

Hearing: TypeAlias = Literal["sounding", "silent", "unknown"]

_FINE = 8  # pixels of a stencil are averaged from this many squared


@dataclass(frozen=True)
class Sprite:
    """A picture ready to be laid over another: `canvas * keep / 255 + paint`."""

    paint: NDArray[np.uint8]  # (h, w, 3) RGB times its own opacity
    keep: NDArray[np.uint8]  # (h, w, 3), how much of what is below shines through

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.paint.shape[0], self.paint.shape[1]

    def lay(self, canvas: NDArray[np.uint8], x: int, y: int) -> None:
        """Draw with the left top corner at (x, y); what is outside of `canvas` is cut."""
        height, width = self.size
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + width, canvas.shape[1]), min(y + height, canvas.shape[0])
        if x0 >= x1 or y0 >= y1:
            return
        part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
        below = canvas[y0:y1, x0:x1]
        kept = cv2.multiply(below, self.keep[part], scale=1 / 255)
        cv2.add(kept, self.paint[part], dst=below)


class Layers:
    """Builds a sprite from stencils."""

    def __init__(self, height: int, width: int) -> None:
        self._paint = np.zeros((height, width, 3), np.float32)
        self._alpha = np.zeros((height, width, 1), np.float32)

    def add(
        self,
        stencil: NDArray[np.uint8],
        colour: Colour,
        *,
        opacity: float = 1.0,
        x: int = 0,
        y: int = 0,
    ) -> None:
        """Lay `colour` through a (h, w) stencil, 0..255, over what is there."""
        height, width = stencil.shape
        part = slice(y, y + height), slice(x, x + width)
        alpha = stencil[..., None].astype(np.float32) * (opacity / 255)
        self._paint[part] = self._paint[part] * (1 - alpha) + np.array(colour, np.float32) * alpha
        self._alpha[part] += alpha * (1 - self._alpha[part])

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self._paint.shape[0], self._paint.shape[1]

    def sprite(self) -> Sprite:
        """What was laid."""
        keep = np.repeat(255 * (1 - self._alpha), 3, axis=2)
        return Sprite(_rounded(self._paint), _rounded(keep))


@lru_cache(maxsize=512)
def text(words: str, scale: float, bold: bool = False) -> NDArray[np.uint8]:
    """Stencil of one line, from the top of its capitals to the foot of a g."""
    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(words, font, scale, 1)
    (_, height), _ = cv2.getTextSize("A", font, scale, 1)
    depth = round(height * 0.4)  # of a g; OpenCV's own figure cuts it
    stencil = np.zeros((height + depth, width + 4), np.uint8)
    cv2.putText(stencil, words, (2, height), font, scale, 255, 1, cv2.LINE_AA)
    ink = np.flatnonzero(stencil.any(0))
    return stencil[:, ink[0] : ink[-1] + 1] if len(ink) else stencil[:, :1]


@lru_cache(maxsize=128)
def plate(height: int, width: int, radius: int) -> NDArray[np.uint8]:
    """Stencil of a rectangle with round corners."""
    fine = np.zeros((height * _FINE, width * _FINE), np.uint8)
    r = min(radius, height // 2, width // 2) * _FINE
    bottom, right = fine.shape[0] - 1, fine.shape[1] - 1
    cv2.rectangle(fine, (r, 0), (right - r, bottom), 255, -1)
    cv2.rectangle(fine, (0, r), (right, bottom - r), 255, -1)
    for x in (r, right - r):
        for y in (r, bottom - r):
            cv2.circle(fine, (x, y), r, 255, -1)
    return _coarse(fine, height, width)


@lru_cache(maxsize=64)
def loudspeaker(size: int, hearing: Hearing) -> NDArray[np.uint8]:
    """Stencil of a loudspeaker: with waves, without, or crossed out for unknown; `size` squared."""
    fine = np.zeros((size * _FINE, size * _FINE), np.uint8)
    unit = size * _FINE / 24  # drawn on a 24 x 24 grid

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * unit), round(y * unit)

    cv2.rectangle(fine, at(1, 8.5), at(6, 15.5), 255, -1)
    cone = np.array([at(5, 8.5), at(11.5, 3), at(11.5, 21), at(5, 15.5)])
    cv2.fillPoly(fine, [cone], 255)
    stroke = round(2.4 * unit)
    if hearing == "sounding":
        for radius in (4.5, 9.0):
            cv2.ellipse(fine, at(12.5, 12), at(radius, radius), 0, -52, 52, 255, stroke)
    elif hearing == "unknown":
        cv2.line(fine, at(15, 8.5), at(22, 15.5), 255, stroke)
        cv2.line(fine, at(22, 8.5), at(15, 15.5), 255, stroke)
    return _coarse(fine, size, size)


def _coarse(fine: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _rounded(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (values + 0.5).clip(0, 255).astype(np.uint8)
