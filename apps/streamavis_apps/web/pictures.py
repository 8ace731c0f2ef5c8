"""JPEG out to viewers and in from a browser's camera, its size checked before it is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from streamavis.errors import SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_PIXELS", "from_jpeg", "jpeg_size", "to_jpeg"]

MAX_PIXELS: Final = 1920 * 1920
_QUALITY = 80
_START, _SCAN, _END = 0xD8, 0xDA, 0xD9
# Frame headers: baseline, extended and progressive Huffman. Others browsers do not make.
_FRAMES = {0xC0, 0xC1, 0xC2}


def to_jpeg(image: NDArray[np.uint8], longest: int) -> bytes:
    """Encode (H, W, 3) RGB, made smaller so that no side is longer than `longest` pixels."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def from_jpeg(data: bytes | memoryview) -> NDArray[np.uint8]:
    """Decode to (H, W, 3) RGB.

    Raises:
        SchemaError: it is no JPEG, has more than `MAX_PIXELS`, or is damaged.
    """
    height, width = jpeg_size(data)
    if height * width > MAX_PIXELS or min(height, width) < 1:
        raise SchemaError(f"a picture of {width}x{height} is refused: at most {MAX_PIXELS} pixels")
    packed = np.frombuffer(data, np.uint8)
    image = cv2.imdecode(packed, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.shape[:2] != (height, width):
        raise SchemaError(f"a JPEG of {len(packed)} bytes cannot be decoded")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def jpeg_size(data: bytes | memoryview) -> tuple[int, int]:
    """Height and width as the header says, nothing decoded (ITU-T T.81, B.1.1 and B.2.2).

    Raises:
        SchemaError: it is no JPEG, or its header ends before the size.
    """
    at = 2
    if len(data) >= 4 and data[0] == 0xFF and data[1] == _START:
        while at + 9 <= len(data) and data[at] == 0xFF:
            marker = data[at + 1]
            if marker in _FRAMES:
                return data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
            if marker in {_SCAN, _END}:
                break
            at += 2 + (data[at + 2] << 8 | data[at + 3])
    raise SchemaError(f"{len(data)} bytes are no JPEG with a size in its header")
