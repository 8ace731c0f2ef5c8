"""The mask operators on a GPU: tensors to launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from streamavis_kernels.launch import Launch, Variant, ceil_div, pointer, storage
from streamavis_kernels.masks.grid import Axis, grid_between
from streamavis_kernels.masks.reference import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_kernels.launch import Runner

__all__ = ["mask_ids", "mask_post", "variant"]

_EDGES_THREADS = 512  # as mask_edges.cu has it
_WORDS_PER_BLOCK = 8 * 16  # as mask_bits.cu has them
_PIXELS_PER_BLOCK = 128 * 4  # as mask_ids.cu has them
_AXIS = [("low", np.int64), ("weight", np.int64), ("pixels", np.int32), ("cells", np.int32)]
_GRID = np.dtype([("rows", _AXIS), ("columns", _AXIS), ("mask", np.int64), ("row", np.int64)])


def variant(kernel: str, logits: torch.dtype | None = None) -> Variant:
    """A mask kernel for logits of a dtype; `mask_edges` reads none."""
    return Variant(kernel, () if logits is None else (f"AV_T={storage(logits)}",))


def _axis(axis: Axis) -> tuple[int, int, int, int]:
    return pointer(axis.low), pointer(axis.weight), len(axis.low), axis.cells


def _grid(logits: Tensor, extent: Sequence[float], size: Sequence[int]) -> NDArray[np.void]:
    height, width = extent
    grid = grid_between((height, width), (size[0], size[1]), logits.device)
    strides = logits.stride()
    return np.array([(_axis(grid.rows), _axis(grid.columns), strides[0], strides[1])], _GRID)


def _rows(logits: Tensor) -> Tensor:
    return logits if logits.stride(2) == 1 else logits.contiguous()


def mask_post(
    run: Runner,
    mask_logits: Tensor,
    kept: Tensor,
    extent: Sequence[float],
    size: Sequence[int],
    capacity: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `streamavis_kernels.mask_post`; edges that do not exist are not written."""
    height, width = size
    N, words = len(kept), words_of(size)
    logits, kept = _rows(mask_logits), kept.contiguous()
    # 0, W, H, -1, -1, 0, 0 without a copy from the host.
    stats = kept.new_zeros((N, 7))
    stats[:, 1], stats[:, 2] = width, height
    stats[:, 3:5] = -1
    bitmaps = kept.new_empty((N, words), dtype=torch.int32)
    edges = kept.new_empty((N, capacity), dtype=torch.int32)
    counts = kept.new_empty(N, dtype=torch.int32)
    if N:
        grid = _grid(logits, extent, size)
        inputs = (pointer(logits), pointer(kept), grid, pointer(bitmaps), np.int32(words))
        blocks = ceil_div(words, _WORDS_PER_BLOCK)
        chosen = variant("mask_bits", logits.dtype)
        run(Launch(chosen, (blocks, N, 1), 256, (*inputs, pointer(stats))))
        sizes = (np.int32(words), np.int32(height * width))
        results = (pointer(edges), np.int32(capacity), pointer(counts))
        chosen = variant("mask_edges")
        run(Launch(chosen, (N, 1, 1), _EDGES_THREADS, (pointer(bitmaps), *sizes, *results)))
    return bitmaps, stats, edges, counts


def mask_ids(
    run: Runner,
    mask_logits: Tensor,
    kept: Tensor,
    scores: Tensor,
    extent: Sequence[float],
    size: Sequence[int],
) -> Tensor:
    """See `streamavis_kernels.mask_ids`."""
    height, width = size
    logits, kept, scores = _rows(mask_logits), kept.contiguous(), scores.contiguous()
    ids = logits.new_empty((height, width), dtype=torch.uint8)
    inputs = (pointer(logits), pointer(kept), pointer(scores), np.int32(len(kept)))
    grid = _grid(logits, extent, size)
    blocks = (ceil_div(width, _PIXELS_PER_BLOCK), height, 1)
    run(Launch(variant("mask_ids", logits.dtype), blocks, 128, (*inputs, grid, pointer(ids))))
    return ids
