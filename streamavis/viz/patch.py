"""Masks out of run lengths, only where they are: ten times faster than decoding the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import Rle

__all__ = ["Patch", "fitted", "patch"]


class Patch(NamedTuple):
    """A mask cut to its bounding box."""

    x: int  # left column and
    y: int  # top row of the box in the picture
    mask: NDArray[np.uint8]  # (h, w), 0 or 1


def patch(rle: Rle) -> Patch | None:
    """Decode the box around a mask; None if the mask is empty."""
    height = rle.size[0]
    edges = np.cumsum(_counts(rle.counts))
    ends = edges[1::2]  # run k of the mask covers [starts[k], ends[k]), down columns
    starts = edges[0::2][: len(ends)]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if len(starts) == 0:
        return None
    columns, tops = np.divmod(starts, height)
    last_columns, bottoms = np.divmod(ends - 1, height)
    left, right = int(columns[0]), int(last_columns[-1]) + 1
    if (columns != last_columns).any():  # a run goes round a column's end
        top, bottom = 0, height
    else:
        top, bottom = int(tops.min()), int(bottoms.max()) + 1
    tall = bottom - top
    bounds = np.empty(2 * len(starts) + 2, np.int64)
    bounds[0], bounds[-1] = 0, (right - left) * tall
    bounds[1:-1:2] = (columns - left) * tall + (tops - top)
    bounds[2:-1:2] = (last_columns - left) * tall + (bottoms + 1 - top)
    values = np.zeros(len(bounds) - 1, np.uint8)
    values[1::2] = 1
    upright = np.repeat(values, np.diff(bounds)).reshape(right - left, tall)
    return Patch(left, top, np.asarray(cv2.transpose(upright), np.uint8))


def fitted(cut: Patch, size: tuple[int, int], canvas: tuple[int, int]) -> Patch:
    """A patch of a (height, width) picture as it lies in a `canvas` of another size."""
    if size == canvas:
        return cut
    down, right = canvas[0] / size[0], canvas[1] / size[1]
    (height, width), (x, y) = cut.mask.shape, (cut.x, cut.y)
    left, top = min(round(x * right), canvas[1] - 1), min(round(y * down), canvas[0] - 1)
    wide = max(1, round((x + width) * right) - left)
    tall = max(1, round((y + height) * down) - top)
    mask = cv2.resize(cut.mask, (wide, tall), interpolation=cv2.INTER_NEAREST)
    return Patch(left, top, np.asarray(mask, np.uint8))


def _counts(text: str) -> NDArray[np.int64]:
    """Run lengths out of COCO's text: 5 bits a character, low ones first, the 6th says more.

    From the fourth run on it holds the difference to the run two before.
    """
    chars = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    lasts = np.flatnonzero(chars & 0x20 == 0)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    place = np.arange(len(chars)) - np.repeat(firsts, lasts - firsts + 1)
    counts = np.add.reduceat((chars & 0x1F) << (5 * place), firsts)
    negative = chars[lasts] & 0x10 != 0
    counts -= np.where(negative, 1 << (5 * (place[lasts] + 1)), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
