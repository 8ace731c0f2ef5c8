"""Argument checks of the mask operators. They read shapes only and never wait for a device."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.masks.reference import NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_mask_ids", "check_mask_post"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MOST_PIXELS = 2**31 - 32  # positions are int


def _fail(name: str, found: object, expected: str) -> None:
    raise KernelArgumentError(f"{name} is {found}, expected {expected}")


def check_mask_post(
    mask_logits: Tensor, kept: Tensor, extent: Sequence[float], size: Sequence[int], capacity: int
) -> None:
    """Raise KernelArgumentError unless `mask_post` can run on these arguments."""
    if mask_logits.ndim != 3:
        _fail("mask_logits", f"of shape {tuple(mask_logits.shape)}", "(V, h, w)")
    if mask_logits.dtype not in _DTYPES:
        _fail("mask_logits", mask_logits.dtype, "float32, float16 or bfloat16")
    if kept.ndim != 1 or kept.dtype != torch.int64:
        _fail(
            "kept", f"{kept.dtype} of shape {tuple(kept.shape)}", "(N,) int64 rows of mask_logits"
        )
    if kept.device != mask_logits.device:
        _fail("kept", f"on {kept.device}", f"{mask_logits.device} as mask_logits")
    cells = mask_logits.shape[1:]
    if len(extent) != 2 or not all(0 < e <= c for e, c in zip(extent, cells, strict=True)):
        _fail("extent", tuple(extent), f"cells of the picture, above 0 and at most {tuple(cells)}")
    if len(size) != 2 or min(size) < 1 or math.prod(size) > _MOST_PIXELS:
        _fail("size", tuple(size), "(H, W) of at least one pixel and less than 2**31")
    if capacity < 1:
        _fail("capacity", capacity, "at least 1")


def check_mask_ids(
    mask_logits: Tensor, kept: Tensor, scores: Tensor, extent: Sequence[float], size: Sequence[int]
) -> None:
    """Raise KernelArgumentError unless `mask_ids` can run on these arguments."""
    check_mask_post(mask_logits, kept, extent, size, 1)
    if len(kept) > NOBODY:
        _fail("kept", f"{len(kept)} rows", f"at most {NOBODY}: an id is one byte")
    if scores.shape != kept.shape or scores.dtype != torch.float32:
        found = f"{scores.dtype} of shape {tuple(scores.shape)}"
        _fail("scores", found, f"float32 of shape {tuple(kept.shape)} as kept")
    if scores.device != kept.device:
        _fail("scores", f"on {scores.device}", f"{kept.device} as kept")
