"""The operators in plain PyTorch: what every backend must compute, and the fallback without one.

B batch, S flattened positions of all levels, Q queries, M heads, D head width, L levels, P points.
Sums are float32 for 16-bit and float32 tensors, float64 for float64 ones; the result has the dtype
of `value`. Nothing here checks its arguments: the operators of `streamavis_kernels` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["accumulator", "audio_deform_attn", "deform_attn", "sampling"]


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which values of `dtype` are summed."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def deform_attn(
    value: Tensor, level_shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Multi-scale deformable attention as one grid_sample per level.

    Same arguments and result as `streamavis_kernels.deform_attn`.
    """
    B, _, M, D = value.shape
    Q, P = locations.shape[1], locations.shape[4]
    dtype = accumulator(value.dtype)
    # Beyond [-1, 2] a sample lies outside every level; clamping keeps inf and NaN out of the maths.
    grid = locations.to(dtype).nan_to_num(nan=-1.0).clamp(-1, 2) * 2 - 1
    weights = weights.to(dtype)
    out = value.new_zeros((B * M, D, Q), dtype=dtype)
    levels = value.to(dtype).split([h * w for h, w in level_shapes], dim=1)
    for index, ((h, w), level) in enumerate(zip(level_shapes, levels, strict=True)):
        image = level.permute(0, 2, 3, 1).reshape(B * M, D, h, w)
        points = grid[:, :, :, index].transpose(1, 2).reshape(B * M, Q, P, 2)
        sampled = F.grid_sample(image, points, "bilinear", "zeros", align_corners=False)
        share = weights[:, :, :, index].transpose(1, 2).reshape(B * M, 1, Q, P)
        out = out + (sampled * share).sum(-1)
    out = out.view(B, M, D, Q).permute(0, 3, 1, 2).reshape(B, Q, M * D)
    return out.to(value.dtype).contiguous()


def sampling(
    projections: Tensor,
    level_shapes: Sequence[tuple[int, int]],
    reference_points: Tensor,
    audio_bias: Tensor | None,
    heads: int,
) -> tuple[Tensor, Tensor]:
    """Turn raw projections into locations (B, Q, M, L, P, 2) and weights (B, Q, M, L, P).

    Rows of `projections` hold M·L·P·2 offsets in pixels of their level, then M·L·P logits.
    """
    B, Q, row = projections.shape
    L = len(level_shapes)
    P = row // (heads * L * 3)
    offsets = projections[..., : heads * L * P * 2].reshape(B, Q, heads, L, P, 2)
    logits = projections[..., heads * L * P * 2 :].reshape(B, Q, heads, L * P)
    if audio_bias is not None:
        logits = logits + audio_bias[:, None]
    sizes = projections.new_tensor([(w, h) for h, w in level_shapes])
    centres = reference_points[..., None, :, None, :]  # (B or none, Q, 1, L, 1, 2)
    locations = centres + offsets / sizes[:, None]
    return locations, logits.softmax(-1).view(B, Q, heads, L, P)


def audio_deform_attn(
    value: Tensor,
    level_shapes: Sequence[tuple[int, int]],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None = None,
    audio_gate: Tensor | None = None,
) -> Tensor:
    """Deformable attention from raw projections, with sound on its logits and its output.

    Same arguments and result as `streamavis_kernels.audio_deform_attn`.
    """
    dtype = accumulator(value.dtype)
    bias = None if audio_bias is None else audio_bias.to(dtype)
    locations, weights = sampling(
        projections.to(dtype), level_shapes, reference_points.to(dtype), bias, value.shape[2]
    )
    out = deform_attn(value.to(dtype), level_shapes, locations, weights)
    if audio_gate is not None:
        out = out * audio_gate.to(dtype)[:, None]
    return out.to(value.dtype)
