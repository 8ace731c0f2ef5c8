"""Decoded pictures of any pixel format to upright RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import av
    from numpy.typing import NDArray

__all__ = ["upright_rgb"]


def upright_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) RGB as a viewer should see it, turned and mirrored as the file asks.

    Bit depth is reduced to 8, transparency ignored, the colour matrix and range are the frame's
    own. Pixels that are not square stay as stored.
    """
    # One thread: starting more for every frame costs more than it saves, most of all under load.
    image = cast("NDArray[np.uint8]", frame.to_ndarray(format="rgb24", threads=1))
    # Not `frame.side_data`: frame and container would hold each other, and decoded pictures pile
    # up until Python's garbage collector comes by, some of them for thousands of frames.
    container = SideDataContainer(frame)  # type: ignore[call-arg]
    side_data = cast("Mapping[str, bytes]", container)
    if "DISPLAYMATRIX" in side_data:
        matrix = np.frombuffer(side_data["DISPLAYMATRIX"], np.int32)
        image = _turn(image, matrix.reshape(3, 3))
    return np.ascontiguousarray(image)


def _turn(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Apply a display matrix [x', y'] = [x, y] M, to the nearest quarter turn."""
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):  # x and y change places
        image = image.swapaxes(0, 1)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
