"""Argument checks of the operators. They read shapes only and never wait for a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.sampling.reference import accumulator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_audio_deform_attn", "check_deform_attn"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def _fail(name: str, found: object, expected: str) -> None:
    raise KernelArgumentError(f"{name} is {found}, expected {expected}")


def _check_value(value: Tensor, level_shapes: Sequence[tuple[int, int]]) -> None:
    if value.ndim != 4:
        _fail("value", f"of shape {tuple(value.shape)}", "(B, S, M, D)")
    if value.dtype not in _DTYPES:
        _fail("value", value.dtype, "float32, float16, bfloat16 or float64")
    positions = 0
    for shape in level_shapes:
        if len(shape) != 2 or shape[0] < 1 or shape[1] < 1:
            _fail("level_shapes", list(level_shapes), "(h, w) pairs of at least one pixel")
        positions += shape[0] * shape[1]
    if not level_shapes or positions != value.shape[1]:
        _fail("value", f"of S={value.shape[1]}", f"S={positions}, the sum of h*w of level_shapes")
    if 0 in value.shape[1:]:
        _fail("value", f"of shape {tuple(value.shape)}", "at least one position, head and channel")


def _check_beside(value: Tensor, name: str, tensor: Tensor) -> None:
    """`tensor` lies where `value` does, in its dtype or in the dtype of its sums."""
    if tensor.device != value.device:
        _fail(name, f"on {tensor.device}", f"{value.device} as value")
    if tensor.dtype != value.dtype and tensor.dtype != accumulator(value.dtype):
        _fail(name, tensor.dtype, f"{value.dtype} as value, or {accumulator(value.dtype)}")


def check_deform_attn(
    value: Tensor, level_shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> None:
    """Raise KernelArgumentError unless `deform_attn` can run on these arguments."""
    _check_value(value, level_shapes)
    B, _, M, _ = value.shape
    L = len(level_shapes)
    shape = locations.shape
    if len(shape) != 6 or (shape[0], shape[2], shape[3], shape[5]) != (B, M, L, 2) or shape[4] < 1:
        _fail("locations", f"of shape {tuple(shape)}", f"(B={B}, Q, M={M}, L={L}, P, 2)")
    if weights.shape != shape[:5]:
        _fail("weights", f"of shape {tuple(weights.shape)}", f"{tuple(shape[:5])} as locations")
    _check_beside(value, "locations", locations)
    _check_beside(value, "weights", weights)


def check_audio_deform_attn(
    value: Tensor,
    level_shapes: Sequence[tuple[int, int]],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None,
    audio_gate: Tensor | None,
) -> None:
    """Raise KernelArgumentError unless `audio_deform_attn` can run on these arguments."""
    _check_value(value, level_shapes)
    B, _, M, D = value.shape
    L = len(level_shapes)
    shape = projections.shape
    if len(shape) != 3 or shape[0] != B or shape[2] < 1 or shape[2] % (M * L * 3):
        _fail("projections", f"of shape {tuple(shape)}", f"(B={B}, Q, M*L*P*3) with M={M}, L={L}")
    Q = shape[1]
    if tuple(reference_points.shape) not in ((Q, L, 2), (B, Q, L, 2)):
        found = f"of shape {tuple(reference_points.shape)}"
        _fail("reference_points", found, f"({Q}, {L}, 2) or ({B}, {Q}, {L}, 2)")
    _check_beside(value, "projections", projections)
    _check_beside(value, "reference_points", reference_points)
    if audio_bias is not None:
        expected = (B, M, shape[2] // (M * 3))
        if audio_bias.shape != expected:
            _fail("audio_bias", f"of shape {tuple(audio_bias.shape)}", f"(B, M, L*P) = {expected}")
        _check_beside(value, "audio_bias", audio_bias)
    if audio_gate is not None:
        if audio_gate.shape != (B, M * D):
            _fail("audio_gate", f"of shape {tuple(audio_gate.shape)}", f"(B, M*D) = {(B, M * D)}")
        _check_beside(value, "audio_gate", audio_gate)
