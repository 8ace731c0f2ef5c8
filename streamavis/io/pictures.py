"""Decoded pictures of any pixel format to upright RGB with square pixels."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
from av.video.reformatter import ColorTrc

from streamavis.errors import InputError
from streamavis.io.side_data import display_matrix

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

__all__ = ["MAX_PIXELS", "fitted", "shown_size", "upright_rgb"]

MAX_PIXELS = 1 << 26  # 8192 x 8192; what a damaged header says beyond that is no picture
_MAX_ASPECT = 8  # of a pixel: what is longer is a damaged header
_HDR = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})
_WHITE_NITS = 203.0  # reference white of HDR pictures (ITU-R BT.2408)
_PEAK_NITS = 1000.0  # shown as white


def upright_rgb(frame: av.VideoFrame, pixel_aspect: Fraction | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) RGB as a viewer should see it, turned and mirrored as the file asks.

    Bit depth is reduced to 8, transparency ignored, the colour matrix and range are the frame's
    own. HDR (PQ and HLG) is tone-mapped. Pixels that are not square are made so by enlarging the
    shorter side.

    Args:
        frame: as decoded.
        pixel_aspect: width of a stored pixel per height; None: square.

    Raises:
        InputError: the picture is empty or over 67 million pixels.
        ValueError, av.error.FFmpegError: its pixels cannot be converted.
    """
    width, height = _square(frame.width, frame.height, pixel_aspect)
    if not 0 < width * height <= MAX_PIXELS:
        raise InputError(f"a picture of {width} x {height} pixels cannot be shown")
    # One thread: starting more for every frame costs more than it saves, most of all under load.
    image = cast(
        "NDArray[np.uint8]",
        frame.to_ndarray(format="rgb24", width=width, height=height, threads=1),
    )
    if frame.color_trc in _HDR:
        image = cast("NDArray[np.uint8]", cv2.LUT(image, _tone_table(int(frame.color_trc))))
    matrix = display_matrix(frame)
    if matrix is not None:
        image = _turn(image, np.frombuffer(matrix, np.int32).reshape(3, 3))
    return np.ascontiguousarray(image)


def shown_size(
    frame: av.VideoFrame, width: int, height: int, pixel_aspect: Fraction | None
) -> tuple[int, int]:
    """Height and width of a stored picture of this size as `upright_rgb` would give it."""
    width, height = _square(width, height, pixel_aspect)
    matrix = display_matrix(frame)
    if matrix is not None and _is_quarter_turn(np.frombuffer(matrix, np.int32).reshape(3, 3)):
        return width, height
    return height, width


def fitted(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture of another size on (height, width, 3), whole and in its shape, black around it."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    h = min(max(round(image.shape[0] * scale), 1), height)
    w = min(max(round(image.shape[1] * scale), 1), width)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    canvas[top : top + h, left : left + w] = cv2.resize(image, (w, h), interpolation=how)
    return canvas


def _square(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of a picture once its pixels are square."""
    aspect = pixel_aspect or Fraction(1)
    if aspect == 1 or not Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _turn(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Apply a display matrix [x', y'] = [x, y] M, to the nearest quarter turn."""
    (a, b), (c, d) = matrix[:2, :2].tolist()
    if _is_quarter_turn(matrix):  # x and y change places
        image = image.swapaxes(0, 1)
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def _is_quarter_turn(matrix: NDArray[np.int32]) -> bool:
    (a, b), (c, d) = matrix[:2, :2].tolist()
    return bool(abs(a) + abs(d) < abs(b) + abs(c))


@cache
def _tone_table(transfer: int) -> NDArray[np.uint8]:
    """(256,) from an HDR picture's codes to those of an ordinary one, channel by channel."""
    code = np.arange(256) / 255
    if transfer == int(ColorTrc.SMPTE2084):
        power = code ** (1 / 78.84375)
        ratio = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        nits = 10_000 * ratio ** (1 / 0.1593017578125)
    else:  # HLG, on a screen of 1000 nits
        scene = np.where(
            code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        nits = 1000 * scene**1.2
    light, peak = nits / _WHITE_NITS, _PEAK_NITS / _WHITE_NITS
    mapped = np.clip(light * (1 + light / peak**2) / (1 + light), 0, 1)  # Reinhard, extended
    srgb = np.where(mapped <= 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * srgb), np.uint8)
