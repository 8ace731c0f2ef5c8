"""JPEG out to viewers and in from a browser's camera.

What comes in is read as far as its markers before anything is decoded: its size, its components
and its number of scans are known and bounded then. The reading is strict where decoders are
lenient, so that both see the same picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import av
import cv2
import numpy as np
from av.error import FFmpegError

from streamavis.errors import SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MAX_PIXELS",
    "MAX_SCANS",
    "MAX_SEGMENTS",
    "JpegHeader",
    "from_jpeg",
    "read_jpeg",
    "to_jpeg",
]

MAX_PIXELS: Final = 1920 * 1920
# Every scan of a progressive picture goes over all of its blocks. Encoders make about 10.
MAX_SCANS: Final = 64
# Tables, comments and profiles; an encoder writes about 10 and a table before each scan.
MAX_SEGMENTS: Final = 256
_MAX_SAMPLING: Final = 4  # by ITU-T T.81, B.2.2
_QUALITY = 80
_START, _SCAN, _END = 0xD8, 0xDA, 0xD9
# Frame headers: baseline, extended and progressive Huffman. Others browsers do not make.
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
# Huffman and quantisation tables, restart interval, comment, application data.
_OTHERS: Final = frozenset({0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# In a scan's data FF is followed by 00, or by a restart marker; any other marker ends the scan.
_NEXT: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG's markers say of it."""

    height: int
    width: int
    components: int  # 1 grey, 3 colours
    scans: int


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
        SchemaError: it is no JPEG, is beyond a bound of this module, or is damaged.
    """
    header = read_jpeg(data)
    try:
        image = _decoded(bytes(data))
    except (FFmpegError, ValueError) as error:
        raise SchemaError(f"a JPEG of {len(data)} bytes cannot be decoded: {error}") from error
    if image is None or image.shape[:2] != (header.height, header.width):
        raise SchemaError(f"a JPEG of {len(data)} bytes cannot be decoded")
    return image


def _decoded(data: bytes) -> NDArray[np.uint8] | None:
    """By FFmpeg, not by OpenCV: libjpeg prints a line for each damaged picture."""
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    frames = decoder.decode(av.Packet(data))
    if len(frames) != 1:
        return None
    return cast("NDArray[np.uint8]", frames[0].to_ndarray(format="rgb24", threads=1))


def read_jpeg(data: bytes | memoryview) -> JpegHeader:
    """Read all markers, nothing decoded (ITU-T T.81, B.1.1 and B.2).

    Raises:
        SchemaError: it is no whole JPEG, has a marker that browsers do not make, more than
            `MAX_PIXELS`, `MAX_SCANS` or `MAX_SEGMENTS`, or another number of components than 1
            or 3.
    """
    data = bytes(data)
    if data[:2] != bytes((0xFF, _START)):
        raise SchemaError(f"{len(data)} bytes are no JPEG: they begin with {data[:2]!r}")
    at, scans, segments = 2, 0, 0
    frame: tuple[int, int, int] | None = None
    while True:
        marker, at = _marker(data, at)
        if marker == _END:
            break
        body, at = _segment(data, at, marker)
        segments += 1
        if marker in _FRAMES:
            if frame is not None:
                raise SchemaError("a JPEG with two frame headers is refused")
            frame = _frame(body)
        elif marker == _SCAN:
            scans += 1
            if frame is None:
                raise SchemaError("a JPEG with a scan before its size is refused")
            at = _end_of_scan(data, at)
        elif marker not in _OTHERS:
            raise SchemaError(f"a JPEG with the marker FF {marker:02X} is refused")
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise SchemaError(
                f"a JPEG of more than {MAX_SCANS} scans or {MAX_SEGMENTS} segments is refused"
            )
    if frame is None or scans == 0:
        raise SchemaError(f"a JPEG of {len(data)} bytes has no picture")
    return JpegHeader(*frame, scans)


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """The marker at `at` and where it ends; FF may be repeated before it (B.1.1.2)."""
    start = at
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at == start or at >= len(data):
        raise SchemaError(f"a JPEG of {len(data)} bytes is damaged or cut short at byte {start}")
    return data[at], at + 1


def _segment(data: bytes, at: int, marker: int) -> tuple[bytes, int]:
    """The parameters of the marker that ended at `at`, and where they end."""
    length = int.from_bytes(data[at : at + 2], "big")
    end = at + length
    if length < 2 or end > len(data):
        raise SchemaError(f"a JPEG of {len(data)} bytes is cut short in FF {marker:02X}")
    return data[at + 2 : end], end


def _frame(body: bytes) -> tuple[int, int, int]:
    """Height, width and components of a frame header (B.2.2)."""
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise SchemaError("a JPEG whose frame header is damaged is refused")
    height, width, components = int.from_bytes(body[1:3]), int.from_bytes(body[3:5]), body[5]
    factors = [part for byte in body[7::3] for part in (byte >> 4, byte & 15)]
    if (
        body[0] != 8
        or components not in {1, 3}
        or not all(1 <= factor <= _MAX_SAMPLING for factor in factors)
    ):
        raise SchemaError(
            f"a JPEG of {components} components of {body[0]} bits, sampled {factors}, is refused: "
            "expected 1 or 3 of 8 bits"
        )
    if height * width > MAX_PIXELS or min(height, width) < 1:
        raise SchemaError(f"a picture of {width}x{height} is refused: at most {MAX_PIXELS} pixels")
    return height, width, components


def _end_of_scan(data: bytes, at: int) -> int:
    """Where the marker after a scan's data begins."""
    if (found := _NEXT.search(data, at)) is None:
        raise SchemaError(f"a JPEG of {len(data)} bytes is cut short in its picture")
    return found.start()
