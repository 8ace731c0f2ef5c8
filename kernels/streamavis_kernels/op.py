"""The public operators: they check their arguments and hand them to the chosen backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis_kernels import checks, reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["audio_deform_attn", "deform_attn"]


def deform_attn(
    value: Tensor, level_shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Gather what each query asks for from several feature maps: bilinear, zero outside.

    Args:
        value: (B, S, M, D), all levels flattened row by row, one after the other.
        level_shapes: (h, w) of each of the L levels; S is the sum of h·w.
        locations: (B, Q, M, L, P, 2) as (x, y); 0 and 1 are the outer edges of the level
            (align_corners=False). Anything outside, inf or NaN contributes zero.
        weights: (B, Q, M, L, P), multiplied into the samples; not normalised here.

    Returns:
        (B, Q, M·D) in the dtype of `value`; differentiable in value, locations and weights.

    Raises:
        KernelArgumentError: a shape, dtype or device does not fit; the message names it.
    """
    checks.check_deform_attn(value, level_shapes, locations, weights)
    return reference.deform_attn(value, level_shapes, locations, weights)


def audio_deform_attn(
    value: Tensor,
    level_shapes: Sequence[tuple[int, int]],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None = None,
    audio_gate: Tensor | None = None,
) -> Tensor:
    """Gather from raw projections in one pass, with sound steering where and how much.

    Without sound this is multi-scale deformable attention; a bias of zeros and a gate of ones
    give the same bits.

    Args:
        value: (B, S, M, D), all levels flattened row by row, one after the other.
        level_shapes: (h, w) of each of the L levels; S is the sum of h·w.
        projections: (B, Q, M·L·P·3); each row is M·L·P·2 offsets (x, y) in pixels of their
            level, then M·L·P logits, which are softmaxed over L·P.
        reference_points: (Q, L, 2) or (B, Q, L, 2) as (x, y) in [0, 1].
        audio_bias: (B, M, L·P), added to the logits of every query; None for no sound.
        audio_gate: (B, M·D), multiplied into the result of every query; None for no sound.

    Returns:
        (B, Q, M·D) in the dtype of `value`; differentiable in every tensor.

    Raises:
        KernelArgumentError: a shape, dtype or device does not fit; the message names it.
    """
    arguments = (value, level_shapes, projections, reference_points, audio_bias, audio_gate)
    checks.check_audio_deform_attn(*arguments)
    return reference.audio_deform_attn(*arguments)
