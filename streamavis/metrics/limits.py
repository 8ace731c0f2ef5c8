"""How much a file of annotations may ask for: checked before pycocotools sees a number.

pycocotools allocates by the sizes and the edges that it is given, and computes with 32-bit
integers: beyond these limits it writes outside its buffers. Readers of evaluation files and of
training data call the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

__all__ = [
    "MAX_CATEGORIES",
    "MAX_EDGE_PIXELS",
    "MAX_NUMBERS",
    "MAX_PARTS",
    "MAX_SIDE",
    "UNREADABLE",
    "FrameError",
    "check_boxes",
    "check_count",
    "check_polygons",
    "check_size",
    "first_repeated",
    "reason",
]

MAX_SIDE: Final = 16_384  # pixels, height or width: as on the wire
MAX_CATEGORIES: Final = 10_000
MAX_NUMBERS: Final = 100_000  # coordinates of one polygon
MAX_PARTS: Final = 1_024  # polygons, boxes or run lengths of one mask
MAX_EDGE_PIXELS: Final = 1 << 20  # the edges of one mask's polygons together
_FAR: Final = 100  # frame sizes: how far beyond the frame a coordinate may lie

# What msgspec raises for a file that is not JSON, of another shape, or nested too deeply.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_Value = TypeVar("_Value", bound="Hashable")


class FrameError(ValueError):
    """A mask cannot be read; the message names the frame."""


def reason(error: Exception) -> str:
    """What an `UNREADABLE` says, in words that a user can act on."""
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def first_repeated(values: Iterable[_Value]) -> _Value | None:
    """The first value that occurred before; None: there is none."""
    seen: set[_Value] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def check_size(height: int, width: int) -> None:
    """Refuse a frame that is empty or larger than `MAX_SIDE`.

    Raises:
        FrameError: it is; the message names both sides.
    """
    if min(height, width) < 1:
        raise FrameError(f"height is {height} and width {width}; both must be positive")
    if max(height, width) > MAX_SIDE:
        raise FrameError(f"height is {height} and width {width}; both must be at most {MAX_SIDE}")


def check_count(what: str, count: int, most: int) -> None:
    """Refuse more of something than `most`.

    Raises:
        FrameError: there are more.
    """
    if count > most:
        raise FrameError(f"{count} {what}, at most {most}")


def check_boxes(boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> None:
    """Refuse boxes that are not x, y, w, h near a frame of `size` (height, width).

    Raises:
        FrameError: another number of numbers, a negative side, or far beyond the frame.
    """
    far = _FAR * max(size)
    for box in boxes:
        if len(box) != 4:
            raise FrameError(f"a box has {len(box)} numbers, expected 4")
        x, y, width, height = box
        if min(width, height) < 0:
            raise FrameError(f"box {list(box)} has a negative side, expected x, y, w, h")
        if not (max(x + width, y + height) <= far and min(x, y) >= -far):
            raise FrameError(f"box {list(box)} goes beyond {far} pixels, the size is {size}")


def check_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> None:
    """Refuse polygons of one mask that are malformed, or too many or too long to draw.

    Args:
        polygons: x, y, x, y, ... each.
        size: height and width of the frame.

    Raises:
        FrameError: an odd number of numbers, too many, far beyond the frame, or edges that are
            longer than `MAX_EDGE_PIXELS` together.
    """
    far = _FAR * max(size)
    pixels = 0.0
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise FrameError(f"a polygon has {len(polygon)} numbers, expected 6, 8, ...")
        check_count("numbers in a polygon", len(polygon), MAX_NUMBERS)
        most, least = max(polygon), min(polygon)
        if not (most <= far and least >= -far):
            raise FrameError(f"a polygon goes beyond {far} pixels, the size is {size}")
        pixels += len(polygon) // 2 * (most - least)  # at most; the sum itself where it matters
    if pixels > MAX_EDGE_PIXELS:
        pixels = sum(map(_edge_pixels, polygons))
        if pixels > MAX_EDGE_PIXELS:
            raise FrameError(
                f"the edges of its polygons have {round(pixels)} pixels, at most {MAX_EDGE_PIXELS}"
            )


def _edge_pixels(polygon: Sequence[float]) -> float:
    corners = np.array(polygon).reshape(-1, 2)
    return float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())
