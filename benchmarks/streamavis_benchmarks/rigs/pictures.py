"""What a rig's camera sees: a scene that moves, and the moment it was drawn at.

The moment is 64 bits of a monotonic clock as black and white squares, which survive any codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIZE", "Scene", "stamp_of"]

SIZE = (160, 96)  # width, height
_CELL = 8  # pixels of a square
_ROWS, _COLUMNS = 4, 16  # of squares: 64 bits
_LEAST = (_COLUMNS * _CELL, 2 * _ROWS * _CELL)  # width, height: the stamp and as much below it
_LIT = 90  # grey levels by which a flash is brighter


class Scene:
    """Draws pictures of one size: a still wall, something that moves, a stamp, a flash."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        """Prepare pictures of `size` (width, height).

        Raises:
            InputError: the stamp does not fit.
        """
        width, height = size
        if width < _LEAST[0] or height < _LEAST[1]:
            raise InputError(
                f"a rig's picture of {width}x{height} has no room for its stamp; "
                f"use {_LEAST[0]}x{_LEAST[1]} or more"
            )
        coarse = np.random.default_rng(0).integers(60, 120, (12, 20, 3), np.uint8)
        self._wall = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        self._bright = self._wall + np.uint8(_LIT)
        self._size = size

    def draw(self, time_ns: int, number: int = 0, *, lit: bool = False) -> NDArray[np.uint8]:
        """(height, width, 3) RGB with `time_ns` in it; `number` moves what moves."""
        width, height = self._size
        image = (self._bright if lit else self._wall).copy()
        wide = width // 8
        left = 5 * number % (width - wide)
        image[height // 2 : -height // 8, left : left + wide] = (200, 60, 30)
        bits = np.array([time_ns >> n & 1 for n in range(64)], np.uint8).reshape(_ROWS, _COLUMNS)
        squares = np.kron(bits, np.ones((_CELL, _CELL), np.uint8)) * 255
        image[: _ROWS * _CELL, : _COLUMNS * _CELL] = squares[..., None]
        return image


def stamp_of(image: NDArray[np.uint8]) -> int:
    """The time that `Scene` drew into a picture of any codec."""
    squares = image[: _ROWS * _CELL, : _COLUMNS * _CELL, 1]
    cells = squares.reshape(_ROWS, _CELL, _COLUMNS, _CELL)
    bits = cells[:, 2:-2, :, 2:-2].mean(axis=(1, 3)) > 127
    return sum(int(bit) << n for n, bit in enumerate(bits.ravel()))
