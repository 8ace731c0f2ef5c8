"""`mask_post` as C++ compiled for this CPU, and `mask_ids` in PyTorch: it is made on demand."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels.build import FLAGS, load
from streamavis_kernels.launch import CSRC
from streamavis_kernels.masks import reference
from streamavis_kernels.masks.grid import Axis, grid_between
from streamavis_kernels.masks.reference import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["mask_ids", "mask_post"]

_pointer, _index, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_AXIS = (_pointer, _pointer, _int, _int)
_ARGUMENTS = (
    *(_pointer, _index, _index, _pointer, _int, *_AXIS, *_AXIS),
    *(_pointer, _int, _pointer, _pointer, _int, _pointer, _pointer, _pointer, _int),
)
# Below this many pixels, waking another thread costs more than it saves.
_SERIAL_BELOW = 1 << 18


@functools.cache
def _function() -> Callable[..., None]:
    # Nothing fused: masks have the same bits on every backend.
    library = load(CSRC / "mask_post.cpp", (*FLAGS, "-ffp-contract=off"))
    function: Callable[..., None] = library.mask_post
    function.argtypes, function.restype = _ARGUMENTS, None  # type: ignore[attr-defined]
    return function


def mask_post(
    mask_logits: Tensor,
    kept: Tensor,
    extent: Sequence[float],
    size: Sequence[int],
    capacity: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `streamavis_kernels.mask_post`."""
    height, width = size
    N, words = len(kept), words_of(size)
    logits, kept = mask_logits.float(), kept.contiguous()
    if logits.stride(2) != 1:
        logits = logits.contiguous()
    grid = grid_between((extent[0], extent[1]), (height, width), logits.device)
    stats = torch.tensor([[0, width, height, -1, -1, 0, 0]]).repeat(N, 1)
    bitmaps = torch.zeros((N, words), dtype=torch.int32)
    edges = torch.zeros((N, capacity), dtype=torch.int32)
    counts = torch.empty(N, dtype=torch.int32)
    scratch = torch.empty((N, 2 * height + grid.rows.cells))
    on = torch.empty((N, height), dtype=torch.uint8)
    inputs = (logits.data_ptr(), logits.stride(0), logits.stride(1), kept.data_ptr(), N)
    results = (bitmaps.data_ptr(), words, stats.data_ptr(), edges.data_ptr(), capacity)
    memory = (counts.data_ptr(), scratch.data_ptr(), on.data_ptr())
    threads = torch.get_num_threads() if N * height * width >= _SERIAL_BELOW else 1
    _function()(*inputs, *_axis(grid.rows), *_axis(grid.columns), *results, *memory, threads)
    return bitmaps, stats, edges, counts


def _axis(axis: Axis) -> tuple[int, int, int, int]:
    return axis.low.data_ptr(), axis.weight.data_ptr(), len(axis.low), axis.cells


def mask_ids(
    mask_logits: Tensor,
    kept: Tensor,
    scores: Tensor,
    extent: Sequence[float],
    size: Sequence[int],
) -> Tensor:
    """See `streamavis_kernels.mask_ids`."""
    height, width = size
    return reference.mask_ids(mask_logits, kept, scores, (extent[0], extent[1]), (height, width))
