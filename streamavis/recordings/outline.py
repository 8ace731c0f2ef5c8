"""Masks as polygons, and a frame's masks as one picture. NumPy alone."""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["label_png", "outlines"]

Point: TypeAlias = tuple[int, int]  # x, y, corners of pixels

_MOST_CORNERS: Final = 1_000  # of one mask; a finer one is traced at half its size
# Sides of a pixel, walked with the mask on the right: along its top, right, bottom and left.
_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)


def outlines(mask: NDArray[np.bool_]) -> list[list[Point]]:
    """Trace a mask's borders: one closed polygon for each piece and for each hole.

    Args:
        mask: (H, W) bool.

    Returns:
        Corners in order, x 0 to W, y 0 to H: clockwise around a piece, counter-clockwise around a
        hole. Pixels that touch at a corner alone are pieces of their own. A mask with more than
        1,000 corners is traced at half, a quarter, ... of its size.
    """
    height, width = mask.shape
    step = 1
    while True:
        sides = _sides(mask[::step, ::step])
        if len(sides) <= _MOST_CORNERS or step >= max(height, width):
            break
        step *= 2
    return [
        [(min(x * step, width), min(y * step, height)) for x, y in loop] for loop in _loops(sides)
    ]


def label_png(
    masks: Sequence[NDArray[np.bool_]],
    colours: Sequence[tuple[int, int, int]],
    size: tuple[int, int],
) -> bytes:
    """Return a PNG of `size` (height, width) with each mask in its colour, on black.

    Where masks overlap the later one is shown; 255 masks at most.
    """
    height, width = size
    labels = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, none
    for number, mask in enumerate(masks[:255], start=1):
        labels[:, 1:][mask] = number
    header = struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)  # 8 bits, palette
    palette = bytes([0, 0, 0, *(value for colour in colours[:255] for value in colour)])
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(labels.tobytes(), 1)))
    chunks = [_png_chunk(kind, data) for kind, data in (*parts, (b"IEND", b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _sides(mask: NDArray[np.bool_]) -> list[tuple[int, Point, Point]]:
    """The straight parts of the border: which side of its pixels, from where, to where."""
    padded = np.pad(mask, 1)
    inside, above = padded[1:], padded[:-1]
    sides = [
        *((_TOP, (x0, y), (x1, y)) for y, x0, x1 in _runs((inside & ~above)[:, 1:-1])),
        *((_BOTTOM, (x1, y), (x0, y)) for y, x0, x1 in _runs((above & ~inside)[:, 1:-1])),
    ]
    inside, before = padded.T[1:], padded.T[:-1]
    sides += [(_LEFT, (x, y1), (x, y0)) for x, y0, y1 in _runs((inside & ~before)[:, 1:-1])]
    sides += [(_RIGHT, (x, y0), (x, y1)) for x, y0, y1 in _runs((before & ~inside)[:, 1:-1])]
    return sides


def _runs(rows: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Row, first place and one past the last of every run of True."""
    steps = np.diff(rows.astype(np.int8), axis=1, prepend=0, append=0)
    at, first = np.nonzero(steps == 1)
    _, last = np.nonzero(steps == -1)
    return list(zip(at.tolist(), first.tolist(), last.tolist(), strict=True))


def _loops(sides: list[tuple[int, Point, Point]]) -> list[list[Point]]:
    starts: defaultdict[Point, list[tuple[int, Point]]] = defaultdict(list)
    for side, begin, end in sides:
        starts[begin].append((side, end))
    loops = []
    for first_side, first, _ in sides:
        if not any(side == first_side for side, _ in starts[first]):
            continue  # walked already
        loop, at, side = [], first, (first_side - 1) % 4
        while starts[at]:
            # Where two pixels touch at a corner, the next side of the same pixel: no crossing.
            leaving = starts[at]
            place = next((i for i, one in enumerate(leaving) if one[0] == (side + 1) % 4), 0)
            loop.append(at)
            side, at = leaving.pop(place)
        loops.append(loop)
    return loops
