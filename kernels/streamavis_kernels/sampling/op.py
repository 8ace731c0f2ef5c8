"""The public operators: they check their arguments and hand them to the chosen backend.

`cupy` and `native` are reached through torch operators, so that autograd and torch.compile know
their gradients and shapes. The reference is plain PyTorch and needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streamavis_kernels import cupy_backend
from streamavis_kernels.backend import backend
from streamavis_kernels.library import library, ops
from streamavis_kernels.sampling import checks, cuda, native, reference

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    if backend(value.device.type) == "reference":
        return reference.deform_attn(value, level_shapes, locations, weights)
    return ops.deform_attn(value, _flat(level_shapes), locations, weights)


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
    tensors = (projections, reference_points, audio_bias, audio_gate)
    checks.check_audio_deform_attn(value, level_shapes, *tensors)
    if backend(value.device.type) == "reference":
        return reference.audio_deform_attn(value, level_shapes, *tensors)
    return ops.audio_deform_attn(value, _flat(level_shapes), *tensors)


def _flat(level_shapes: Sequence[tuple[int, int]]) -> list[int]:
    return [size for shape in level_shapes for size in shape]


_AUDIO = (
    "Tensor value, int[] level_shapes, Tensor projections, Tensor reference_points, "
    "Tensor? audio_bias, Tensor? audio_gate"
)
_SCHEMAS = (
    "deform_attn(Tensor value, int[] level_shapes, Tensor locations, Tensor weights) -> Tensor",
    "deform_attn_backward(Tensor grad, Tensor value, int[] level_shapes, Tensor locations, "
    "Tensor weights) -> (Tensor, Tensor, Tensor)",
    f"audio_deform_attn({_AUDIO}) -> Tensor",
    f"audio_deform_attn_backward(Tensor grad, {_AUDIO}) -> (Tensor, Tensor)",
)
for _schema in _SCHEMAS:
    library.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))
    _name = _schema.partition("(")[0]
    library.impl(_name, getattr(native, _name), "CPU")
    library.impl(_name, cupy_backend.on_gpu(getattr(cuda, _name)), "CUDA")


def _fake(value: Tensor, level_shapes: Sequence[int], rows: Tensor, *rest: Tensor | None) -> Tensor:
    B, _, M, D = value.shape
    return value.new_empty((B, rows.shape[1], M * D))


def _fake_backward(
    grad: Tensor, value: Tensor, level_shapes: Sequence[int], *inputs: Tensor
) -> tuple[Tensor, ...]:
    dtype = reference.accumulator(value.dtype)
    return tuple(x.new_empty(x.shape, dtype=dtype) for x in (value, *inputs))


def _fake_audio_backward(
    grad: Tensor,
    value: Tensor,
    level_shapes: Sequence[int],
    projections: Tensor,
    *rest: Tensor | None,
) -> tuple[Tensor, ...]:
    return _fake_backward(grad, value, level_shapes, projections)


torch.library.register_fake("streamavis::deform_attn", _fake, lib=library)
torch.library.register_fake("streamavis::audio_deform_attn", _fake, lib=library)
torch.library.register_fake("streamavis::deform_attn_backward", _fake_backward, lib=library)
torch.library.register_fake(
    "streamavis::audio_deform_attn_backward", _fake_audio_backward, lib=library
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    value, ctx.level_shapes, *rest = inputs
    ctx.save_for_backward(value, *rest)


def _gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    value, *rest = ctx.saved_tensors
    results = ops.deform_attn_backward(grad, value, ctx.level_shapes, *rest)
    by_value, *by_rest = (r.to(x.dtype) for r, x in zip(results, (value, *rest), strict=True))
    return by_value, None, *by_rest


def _audio_gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    value, projections, points, bias, gate = ctx.saved_tensors
    shapes, (B, Q, row) = ctx.level_shapes, projections.shape
    M, L = value.shape[2], len(shapes) // 2
    samples = row // (M * 3)
    inputs = (value, shapes, projections, points, bias)
    by_value, by_rows = ops.audio_deform_attn_backward(grad, *inputs, gate)
    by_points = by_bias = by_gate = None
    if ctx.needs_input_grad[3]:
        by_place = by_rows[..., : M * samples * 2].view(B, Q, M, L, samples // L, 2).sum((2, 4))
        by_points = by_place * by_place.new_tensor(shapes).view(L, 2).flip(-1)  # pixels per unit
        by_points = (by_points if points.ndim == 4 else by_points.sum(0)).to(points.dtype)
    if ctx.needs_input_grad[4]:
        by_bias = by_rows[..., M * samples * 2 :].view(B, Q, M, samples).sum(1).to(bias.dtype)
    if ctx.needs_input_grad[5]:
        by_gate = (grad * ops.audio_deform_attn(*inputs, None)).sum(1).to(gate.dtype)
    by_rows = by_rows.to(projections.dtype)
    return by_value.to(value.dtype), None, by_rows, by_points, by_bias, by_gate


torch.library.register_autograd(
    "streamavis::deform_attn", _gradient, setup_context=_save, lib=library
)
torch.library.register_autograd(
    "streamavis::audio_deform_attn", _audio_gradient, setup_context=_save, lib=library
)
