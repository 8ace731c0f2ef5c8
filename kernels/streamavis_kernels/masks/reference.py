"""The mask operators in plain PyTorch: what every backend must compute, to the bit.

V mask logits, N kept ones, h w cells, H W pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from streamavis_kernels.masks.grid import Axis, grid_between

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CAPACITY", "NOBODY", "MaskPost", "mask_ids", "mask_post", "upsample", "words_of"]

CAPACITY = 8192  # edges of a mask: a street scene's contours have a few thousand
NOBODY = 255  # in a map of ids


class MaskPost(NamedTuple):
    """Full-size masks in the order of COCO's run lengths: pixel (y, x) is number x * H + y."""

    bitmaps: Tensor  # (N, ceil(H*W / 32)) int32; pixel i is bit i % 32 of word i // 32
    stats: Tensor  # (N, 7) int64: area, least x, y, greatest x, y (W, H, -1, -1 if empty), sum x, y
    edges: Tensor  # (N, capacity) int32: pixels where the mask changes, from 0 before the first
    counts: Tensor  # (N,) int32: how many edges there are, of which `capacity` are written


def words_of(size: Sequence[int]) -> int:
    return -(-size[0] * size[1] // 32)


def mask_post(
    mask_logits: Tensor,
    kept: Tensor,
    extent: tuple[float, float],
    size: tuple[int, int],
    *,
    capacity: int = CAPACITY,
) -> MaskPost:
    """Masks, boxes and run lengths of the kept rows.

    Same arguments and result as `streamavis_kernels.mask_post`; edges that do not exist are 0.
    """
    height, width = size
    device, N = mask_logits.device, len(kept)
    masks = upsample(mask_logits[kept], extent, size) > 0
    flat = masks.transpose(1, 2).flatten(1)  # (N, W*H)
    words = words_of(size)
    padded = flat.new_zeros((N, words * 32), dtype=torch.int64)
    padded[:, : flat.shape[1]] = flat
    values = (padded.view(N, words, 32) << torch.arange(32, device=device)).sum(-1)
    bitmaps = torch.where(values < 2**31, values, values - 2**32).to(torch.int32)

    xs = torch.arange(width, device=device)
    ys = torch.arange(height, device=device)
    by_x, by_y = masks.sum(1), masks.sum(2)  # (N, W), (N, H)
    stats = [
        flat.sum(1),
        xs.where(by_x > 0, width).amin(1),
        ys.where(by_y > 0, height).amin(1),
        xs.where(by_x > 0, -1).amax(1),
        ys.where(by_y > 0, -1).amax(1),
        (by_x * xs).sum(1),
        (by_y * ys).sum(1),
    ]
    before = torch.nn.functional.pad(flat[:, :-1], (1, 0))
    changes = flat != before
    counts = changes.sum(1)
    edges = torch.zeros((N, capacity), dtype=torch.int32, device=device)
    row, place = changes.nonzero(as_tuple=True)
    rank = changes.cumsum(1)[row, place] - 1
    fits = rank < capacity
    edges[row[fits], rank[fits]] = place[fits].to(torch.int32)
    return MaskPost(bitmaps, torch.stack(stats, 1), edges, counts.to(torch.int32))


def mask_ids(
    mask_logits: Tensor,
    kept: Tensor,
    scores: Tensor,
    extent: tuple[float, float],
    size: tuple[int, int],
) -> Tensor:
    """Which of the kept rows each pixel shows.

    Same arguments and result as `streamavis_kernels.mask_ids`.
    """
    if len(kept) == 0:
        return mask_logits.new_full(tuple(size), NOBODY, dtype=torch.uint8)
    logits = upsample(mask_logits[kept], extent, size)
    sure = scores[:, None, None] * logits.sigmoid()
    best, who = sure.masked_fill(logits <= 0, 0).max(0)
    return who.masked_fill(best <= 0, NOBODY).to(torch.uint8)


def upsample(logits: Tensor, extent: tuple[float, float], size: tuple[int, int]) -> Tensor:
    """(N, h, w) -> (N, H, W) float32, bilinear: down first, then across."""
    grid = grid_between(tuple(extent), tuple(size), logits.device)
    cells = logits.float()
    return _blend(_blend(cells, grid.rows, 1), grid.columns, 2)


def _blend(values: Tensor, axis: Axis, dim: int) -> Tensor:
    low = values.index_select(dim, axis.low)
    high = values.index_select(dim, (axis.low + 1).clamp(max=axis.cells - 1))
    weight = axis.weight[:, None] if dim == 1 else axis.weight
    return low + (high - low) * weight
