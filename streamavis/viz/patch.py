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
    edges = _counts(rle.counts).cumsum()
    # Row k: where run k of the mask begins, and its last pixel, counted down columns.
    runs = edges[: len(edges) // 2 * 2].reshape(-1, 2) - (0, 1)
    if not (filled := runs[:, 0] <= runs[:, 1]).all():
        runs = runs[filled]
    if len(runs) == 0:
        return None
    columns = runs // height
    rows = runs - columns * height
    left, right = int(columns[0, 0]), int(columns[-1, 1]) + 1
    if (columns[:, 0] != columns[:, 1]).any():  # a run goes round a column's end
        top, bottom = 0, height
    else:
        top, bottom = int(rows[:, 0].min()), int(rows[:, 1].max()) + 1
    tall = bottom - top
    bounds = np.empty(2 * len(runs) + 2, np.int64)
    bounds[0], bounds[-1] = 0, (right - left) * tall
    inner = columns * tall + rows
    bounds[1:-1] = inner.ravel() - (left * tall + top)
    bounds[2:-1:2] += 1
    values = np.zeros(len(bounds) - 1, np.uint8)
    values[1::2] = 1
    upright = values.repeat(bounds[1:] - bounds[:-1]).reshape(right - left, tall)
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
    chars = np.frombuffer(text.encode("ascii"), np.uint8) - np.uint8(48)
    lasts = (chars < 0x20).nonzero()[0]
    # From the last character on, each is worth 32 of the one before it.
    digits = (chars & 0x1F).astype(np.int64)
    counts = digits[lasts]
    counts -= (counts & 0x10) << 1  # the sign
    firsts = np.empty_like(lasts)
    firsts[0], firsts[1:] = 0, lasts[:-1] + 1
    lengths = lasts - firsts
    for behind in range(1, int(lengths.max()) + 1):
        longer = (lengths >= behind).nonzero()[0]
        counts[longer] = (counts[longer] << 5) + digits[lasts[longer] - behind]
    counts[1::2].cumsum(out=counts[1::2])
    counts[2::2].cumsum(out=counts[2::2])
    return counts
