"""Notice a camera that repeats one picture."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import VideoFrame, VideoState

__all__ = ["FrozenPicture"]

_STALE_NS = 1_500_000_000
_STEP = 16  # pixels between those looked at first


class FrozenPicture:
    """`stale` once the picture has not changed by a single bit for 1.5 s.

    A sensor's noise changes every picture, so equal ones come from a driver or an encoder that
    hangs. Most differ in a few pixels looked at first; only then is the whole picture summed up.
    """

    def __init__(self) -> None:
        self._few = 0  # checksum of every 16th pixel of every 16th line
        self._all: int | None = None  # checksum of the whole picture, where it was needed
        self._since_ns = 0

    def state_of(self, frame: VideoFrame) -> VideoState:
        """The state of the next frame; its times and those before must not go back."""
        few = _checksum(frame.image[::_STEP, ::_STEP])
        everything = None
        if few == self._few:
            everything = _checksum(frame.image)
        changed = everything is None or everything != self._all
        self._few, self._all = few, everything
        if changed:
            self._since_ns = frame.capture_time_ns
        return "stale" if frame.capture_time_ns - self._since_ns >= _STALE_NS else "ok"


def _checksum(pixels: NDArray[np.uint8]) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data)
