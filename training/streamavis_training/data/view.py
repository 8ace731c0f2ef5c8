"""What part of a source picture a training frame shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis_training.data.media import picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["View", "cover"]


@dataclass(frozen=True)
class View:
    """A rectangle of the source picture, resized to the frame, then maybe mirrored."""

    x: int  # of the source, pixels
    y: int
    width: int
    height: int
    size: tuple[int, int]  # height and width of the frame
    flip: bool = False

    def of_file(self, path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of a picture file of `size` (height, width).

        Raises:
            InputError: the file does not decode or has another size.
        """
        shrink = min(self.height / self.size[0], self.width / self.size[1])
        whole = picture(path, size, shrink=shrink)
        scale = whole.shape[0] / size[0], whole.shape[1] / size[1]
        top, left = round(self.y * scale[0]), round(self.x * scale[1])
        bottom = max(round((self.y + self.height) * scale[0]), top + 1)
        right = max(round((self.x + self.width) * scale[1]), left + 1)
        return self._resized(whole[top:bottom, left:right])

    def of_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) coverage 0..255 of a 0/1 mask of the whole source picture."""
        part = mask[self.y : self.y + self.height, self.x : self.x + self.width]
        if not part.any():
            return np.zeros(self.size, np.uint8)
        return self._resized(part * np.uint8(255))

    def _resized(self, part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = self.size
        smaller = part.shape[0] > height or part.shape[1] > width
        way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        shown = cv2.resize(part, (width, height), interpolation=way)
        return np.asarray(np.ascontiguousarray(shown[:, ::-1]) if self.flip else shown, np.uint8)


def cover(
    source: tuple[int, int],
    size: tuple[int, int],
    zoom: tuple[float, float],
    rng: np.random.Generator,
) -> View:
    """A random view of the frame's shape: the largest that fits, shrunk by a random zoom.

    Args:
        source: height and width of the picture.
        size: of the frame.
        zoom: least and most; 1 shows as much as fits.
    """
    scale = min(source[0] / size[0], source[1] / size[1]) / rng.uniform(*zoom)
    height, width = (
        max(1, min(round(side * scale), whole)) for side, whole in zip(size, source, strict=True)
    )
    y = int(rng.integers(source[0] - height + 1))
    x = int(rng.integers(source[1] - width + 1))
    return View(x, y, width, height, size)
