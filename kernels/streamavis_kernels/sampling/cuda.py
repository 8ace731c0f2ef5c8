"""The sampling operators on a GPU: tensors to launches. The arguments are those of `native`."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.launch import (
    Launch,
    Variant,
    aligned,
    ceil_div,
    pointer,
    storage,
    struct,
)
from streamavis_kernels.sampling.reference import accumulator, sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_kernels.launch import Runner

__all__ = [
    "audio_deform_attn",
    "audio_deform_attn_backward",
    "deform_attn",
    "deform_attn_backward",
    "level_struct",
    "variant",
]

_MOST_THREADS = 128
_MOST_SHARED = 48 << 10  # bytes that a block may declare
_MOST_BLOCKS = 2**31 - 1
_CHUNK = 12  # samples that a group prepares at a time, as in sampling.h


def variant(
    kernel: str, value: torch.dtype, rows: torch.dtype, L: int, P: int, D: int, M: int
) -> Variant:
    """The sampling kernel for these dtypes and this shape."""
    defines = (
        *(f"AV_T={storage(value)}", f"AV_R={storage(rows)}"),
        *(f"AV_L={L}", f"AV_P={P}", f"AV_D={D}", f"AV_M={M}"),
        f"AV_THREADS={_threads(D * value.itemsize // 16, L * P, value)}",
    )
    return Variant(kernel, defines)


def _group(lanes: int) -> int:
    """Threads that share a query and head: whole power of two, so that shuffles stay within it."""
    return 1 << (lanes - 1).bit_length()


def _threads(lanes: int, samples: int, value: torch.dtype) -> int:
    """The most threads of a block whose samples fit its shared memory."""
    corners = 4 * accumulator(value).itemsize + 4 * 4
    of_group = (min(samples, _CHUNK) + 1) * corners
    threads = _MOST_THREADS
    while threads > 32 and threads // _group(lanes) * of_group > _MOST_SHARED:
        threads //= 2
    return threads


def _check(value: Tensor) -> None:
    """Raise unless the kernels can hold this map: the bounds of their types."""
    _, S, M, D = value.shape
    row = D * value.element_size()
    if row % 16 or row > 512:
        raise KernelArgumentError(
            f"value has heads of {D} {value.dtype} = {row} bytes, expected a multiple of 16 up to "
            "512 on a GPU; STREAMAVIS_KERNELS=reference takes any width"
        )
    if S * M * D >= 2**31:
        raise KernelArgumentError(
            f"value holds S*M*D = {S * M * D} elements per stream, expected less than 2**31"
        )


@functools.lru_cache(maxsize=256)
def level_struct(shapes: tuple[int, ...]) -> NDArray[np.void]:
    """The kernels' `Levels`: heights, widths and starts, from h, w, h, w, ..."""
    heights, widths = shapes[::2], shapes[1::2]
    starts = itertools.accumulate((h * w for h, w in zip(heights, widths, strict=True)), initial=0)
    return struct([*heights, *widths, *list(starts)[:-1]], np.int32)


def _launch(
    run: Runner,
    kernel: str,
    value: Tensor,
    rows: torch.dtype,
    shapes: Sequence[int],
    samples: int,
    Q: int,
    *between: object,
) -> None:
    """Run `kernel`; `between` is what it takes before S, Q and the number of rows."""
    B, S, M, D = value.shape
    L = len(shapes) // 2
    chosen = variant(kernel, value.dtype, rows, L, samples // L, D, M)
    threads = _threads(D * value.element_size() // 16, samples, value.dtype)
    groups = threads // _group(D * value.element_size() // 16)
    blocks = ceil_div(B * Q * M, groups)
    if blocks > _MOST_BLOCKS:
        raise KernelArgumentError(f"B*Q*M = {B * Q * M} is too much for one launch; split B")
    pointers = (pointer(x) if x is None or isinstance(x, Tensor) else x for x in between)
    sizes = (np.int32(S), np.int32(Q), B * Q * M)
    run(Launch(chosen, (blocks, 1, 1), threads, (*pointers, *sizes)))  # type: ignore[arg-type]


def deform_attn(
    run: Runner, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor
) -> Tensor:
    """See `streamavis_kernels.deform_attn`; `shapes` is h, w, h, w, ..."""
    _check(value)
    B, _, M, D = value.shape
    Q, L, P = locations.shape[1], locations.shape[3], locations.shape[4]
    dtype = accumulator(value.dtype)
    value, locations, weights = aligned(value), locations.to(dtype), weights.to(dtype)
    places, shares = locations.contiguous(), weights.contiguous()
    out = value.new_empty((B, Q, M * D))
    if out.numel():
        inputs = (value, level_struct(tuple(shapes)), places, shares, out)
        _launch(run, "deform_attn", value, dtype, shapes, L * P, Q, *inputs)
    return out


def deform_attn_backward(
    run: Runner,
    grad: Tensor,
    value: Tensor,
    shapes: Sequence[int],
    locations: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by value, locations and weights, in the dtype of the sums."""
    _check(value)
    Q, L, P = locations.shape[1], locations.shape[3], locations.shape[4]
    dtype = accumulator(value.dtype)
    grad, value = aligned(grad.to(value.dtype)), aligned(value)
    places, shares = (x.to(dtype).contiguous() for x in (locations, weights))
    by_value = torch.zeros_like(value, dtype=dtype)
    by_places, by_shares = torch.empty_like(places), torch.empty_like(shares)
    if shares.numel():
        inputs = (grad, value, level_struct(tuple(shapes)), places, shares)
        results = (by_value, by_places, by_shares)
        name = "deform_attn_backward"
        _launch(run, name, value, dtype, shapes, L * P, Q, *inputs, *results)
    return by_value, by_places, by_shares


def audio_deform_attn(
    run: Runner,
    value: Tensor,
    shapes: Sequence[int],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None,
    audio_gate: Tensor | None,
) -> Tensor:
    """See `streamavis_kernels.audio_deform_attn`; `shapes` is h, w, h, w, ..."""
    _check(value)
    B, _, M, D = value.shape
    Q, samples = projections.shape[1], projections.shape[2] // (M * 3)
    dtype = accumulator(value.dtype)
    value, projections = aligned(value), projections.contiguous()
    points = reference_points.to(dtype).contiguous()
    sound = [None if x is None else x.to(dtype).contiguous() for x in (audio_bias, audio_gate)]
    out = value.new_empty((B, Q, M * D))
    if out.numel():
        stride = math.prod(points.shape[1:]) if points.ndim == 4 else 0
        inputs = (value, level_struct(tuple(shapes)), projections, points, stride, *sound, out)
        rows = projections.dtype
        _launch(run, "audio_deform_attn", value, rows, shapes, samples, Q, *inputs)
    return out


def audio_deform_attn_backward(
    run: Runner,
    grad: Tensor,
    value: Tensor,
    shapes: Sequence[int],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None,
    audio_gate: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Gradients by value and projections, in the dtype of the sums.

    Composed of the plain backward kernel and PyTorch's softmax.
    """
    dtype = accumulator(value.dtype)
    B, Q, row = projections.shape
    M = value.shape[2]
    pairs = list(zip(shapes[::2], shapes[1::2], strict=True))
    bias = None if audio_bias is None else audio_bias.to(dtype)
    locations, weights = sampling(projections.to(dtype), pairs, reference_points.to(dtype), bias, M)
    grad = grad.to(dtype)
    if audio_gate is not None:
        grad = grad * audio_gate.to(dtype)[:, None]
    by_value, by_places, by_weights = deform_attn_backward(
        run, grad, value, shapes, locations, weights
    )
    pixels = by_places.new_tensor([(w, h) for h, w in pairs])[:, None]  # per unit of a location
    by_offsets = (by_places / pixels).reshape(B, Q, -1)
    weights, by_weights = (x.reshape(B, Q, M, row // (M * 3)) for x in (weights, by_weights))
    mean = (weights * by_weights).sum(-1, keepdim=True)
    by_logits = (weights * (by_weights - mean)).reshape(B, Q, -1)
    return by_value, torch.cat([by_offsets, by_logits], -1)
