"""Objects onto the picture, and the picture through the lens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis_training.world.config import CLASSES
from streamavis_training.world.scene import generator
from streamavis_training.world.sprites import SPRITES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.world.scene import Actor, Lens

    Picture = NDArray[np.uint8]

__all__ = ["Shutter", "paint"]

_SHIFT = 4  # bits of sub-pixel precision in polygon corners


def paint(
    picture: Picture,
    ids: Picture,
    value: int,
    actor: Actor,
    pose: tuple[float, float],
    linear: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> None:
    """Draw one object over the picture and, by the same polygons, into the ids.

    Args:
        picture: (H, W, 3), painted in place.
        ids: (H, W), set to `value` where the object covers most of a pixel.
        value: of this object.
        actor: which object.
        pose: level 0..1 and side -1 or 1.
        linear: (2, 2) sprite units to pixels.
        origin: (2,) its centre in pixels.
    """
    shapes = SPRITES[CLASSES[actor.class_id]](*pose, actor.look)
    points = np.concatenate([shape.points for shape in shapes]) @ linear.T + origin
    low = np.maximum(np.floor(points.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 3, picture.shape[1::-1])
    if (low >= high).any():
        return
    corner = np.s_[low[1] : high[1], low[0] : high[0]]
    region, mask = picture[corner], np.zeros(high[::-1] - low[::-1], np.uint8)
    fixed = np.round((points - low) * (1 << _SHIFT)).astype(np.int32)
    start = 0
    for shape in shapes:
        corners = [fixed[start : start + len(shape.points)]]
        cv2.fillPoly(region, corners, shape.colour, cv2.LINE_AA, _SHIFT)
        if shape.solid:
            cv2.fillPoly(mask, corners, 255, cv2.LINE_AA, _SHIFT)
        start += len(shape.points)
    _shade(region, mask, float(np.hypot(*linear[:, 0])))
    ids[corner][mask > 127] = value


def _shade(region: Picture, mask: Picture, scale: float) -> None:
    """Darken an object towards its lower right rim, as if lit from the upper left."""
    size = max(3, round(0.45 * scale))
    thick = cv2.blur(
        mask, (size, size), anchor=(size // 3, size // 3), borderType=cv2.BORDER_REPLICATE
    )
    dark = cv2.multiply(255 - thick, mask, scale=0.62 / 255)
    region[:] = cv2.multiply(region, cv2.cvtColor(255 - dark, cv2.COLOR_GRAY2RGB), scale=1 / 255)


class Shutter:
    """Takes the pictures of one clip: exposure, white balance, focus and noise."""

    def __init__(self, lens: Lens, seed: int, height: int, width: int) -> None:
        self._lens = lens
        self._blur = lens.blur * height
        self._rng = generator(seed, 12)
        grain = self._rng.standard_normal((height + 32, width + 32, 3), np.float32)
        self._grain = (grain * np.float32(lens.noise)).round().astype(np.int16)

    def take(self, picture: Picture, time_s: float, out: Picture) -> None:
        """Write to `out` the picture as the camera delivers it."""
        gain = np.array(self._lens.tint) * (1 + self._lens.flicker.at(time_s))
        curve = np.arange(256)[:, None] * gain + self._lens.lift
        table = np.clip(np.round(curve), 0, 255).astype(np.uint8)[None]
        if self._blur > 0.3:
            cv2.GaussianBlur(picture, (0, 0), self._blur, picture)
        y, x = self._rng.integers(0, 32, 2)
        grain = self._grain[y : y + picture.shape[0], x : x + picture.shape[1]]
        cv2.add(cv2.LUT(picture, table), grain, out, dtype=cv2.CV_8U)
