"""The operators as C++ compiled for this CPU: their launchers, on flat level shapes.

One library per dtype of the sums and shape (levels, points, head width, heads), built on first use.
Values in 16 bits are widened before and rounded once after.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels.build import FLAGS, load
from streamavis_kernels.launch import CSRC
from streamavis_kernels.sampling.reference import accumulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "audio_deform_attn",
    "audio_deform_attn_backward",
    "deform_attn",
    "deform_attn_backward",
    "prepare",
]

SOURCE = CSRC / "deform_attn.cpp"
# Below this many multiplications, waking another thread costs more than it saves.
SERIAL_BELOW = 1 << 17

_pointer, _index = ctypes.c_void_p, ctypes.c_int64
_SIZES = (_index, _index, _index, ctypes.c_int)  # B, S, Q, threads
_ARGUMENTS = {
    "deform_attn": (*[_pointer] * 5, *_SIZES),
    "deform_attn_backward": (*[_pointer] * 8, *_SIZES),
    "audio_deform_attn": (*[_pointer] * 4, _index, *[_pointer] * 3, *_SIZES),
    "audio_deform_attn_backward": (*[_pointer] * 5, _index, *[_pointer] * 4, *_SIZES),
}


def prepare() -> None:
    """Build and load the smallest kernel, so that a machine where this fails is known at once.

    Raises:
        KernelBackendError: why native kernels cannot be had here.
    """
    _function("deform_attn", torch.float32, 1, 1, 1, 1)


@functools.cache
def _library(dtype: torch.dtype, L: int, P: int, D: int, M: int) -> ctypes.CDLL:
    number = "double" if dtype == torch.float64 else "float"
    sizes = (f"AV_L={L}", f"AV_P={P}", f"AV_D={D}", f"AV_M={M}")
    return load(SOURCE, (*FLAGS, *(f"-D{size}" for size in (f"AV_ACC={number}", *sizes))))


@functools.cache
def _function(name: str, dtype: torch.dtype, L: int, P: int, D: int, M: int) -> Callable[..., None]:
    function = getattr(_library(dtype, L, P, D, M), name)
    function.argtypes, function.restype = _ARGUMENTS[name], None
    return function


def _launch(
    name: str, value: Tensor, shapes: Sequence[int], Q: int, samples: int, *between: object
) -> None:
    """Call `name`; `value` gives the sizes, `between` is what its C++ takes before B, S, Q."""
    B, S, M, D = value.shape
    L = len(shapes) // 2
    function = _function(name, value.dtype, L, samples // L, D, M)
    threads = torch.get_num_threads() if B * Q * M * samples * D >= SERIAL_BELOW else 1
    function(*(x.data_ptr() if isinstance(x, Tensor) else x for x in between), B, S, Q, threads)


def _ready(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if tensor.dtype == dtype and tensor.is_contiguous():  # the usual case, a microsecond cheaper
        return tensor
    return tensor.to(dtype).contiguous()


def _ready_or_none(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if tensor is None else _ready(tensor, dtype)


@functools.lru_cache(maxsize=256)
def _c_shapes(shapes: tuple[int, ...]) -> ctypes.Array[ctypes.c_int]:
    return (ctypes.c_int * len(shapes))(*shapes)


def deform_attn(value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    """See `streamavis_kernels.deform_attn`; `shapes` is h, w, h, w, ..."""
    dtype = accumulator(value.dtype)
    B, _, M, D = value.shape
    Q, L, P = locations.shape[1], locations.shape[3], locations.shape[4]
    wide, locations, weights = (_ready(x, dtype) for x in (value, locations, weights))
    out = wide.new_empty((B, Q, M * D))
    c_shapes = _c_shapes(tuple(shapes))
    _launch("deform_attn", wide, shapes, Q, L * P, wide, c_shapes, locations, weights, out)
    return out.to(value.dtype)


def deform_attn_backward(
    grad: Tensor, value: Tensor, shapes: Sequence[int], locations: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by value, locations and weights, in the dtype of the sums."""
    dtype = accumulator(value.dtype)
    Q, L, P = locations.shape[1], locations.shape[3], locations.shape[4]
    grad, value, locations, weights = (_ready(x, dtype) for x in (grad, value, locations, weights))
    results = torch.zeros_like(value), torch.empty_like(locations), torch.empty_like(weights)
    inputs = (grad, value, _c_shapes(tuple(shapes)), locations, weights)
    _launch("deform_attn_backward", value, shapes, Q, L * P, *inputs, *results)
    return results


def audio_deform_attn(
    value: Tensor,
    shapes: Sequence[int],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None,
    audio_gate: Tensor | None,
) -> Tensor:
    """See `streamavis_kernels.audio_deform_attn`; `shapes` is h, w, h, w, ..."""
    dtype = accumulator(value.dtype)
    B, _, M, D = value.shape
    Q, samples = projections.shape[1], projections.shape[2] // (M * 3)
    wide, projections, points = (_ready(x, dtype) for x in (value, projections, reference_points))
    bias, gate = _ready_or_none(audio_bias, dtype), _ready_or_none(audio_gate, dtype)
    out = wide.new_empty((B, Q, M * D))
    inputs = (wide, _c_shapes(tuple(shapes)), projections, points, _stride(points), bias, gate)
    _launch("audio_deform_attn", wide, shapes, Q, samples, *inputs, out)
    return out.to(value.dtype)


def audio_deform_attn_backward(
    grad: Tensor,
    value: Tensor,
    shapes: Sequence[int],
    projections: Tensor,
    reference_points: Tensor,
    audio_bias: Tensor | None,
    audio_gate: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Gradients by value and projections, in the dtype of the sums."""
    dtype = accumulator(value.dtype)
    Q, samples = projections.shape[1], projections.shape[2] // (value.shape[2] * 3)
    grad, value, projections, points = (
        _ready(x, dtype) for x in (grad, value, projections, reference_points)
    )
    bias, gate = _ready_or_none(audio_bias, dtype), _ready_or_none(audio_gate, dtype)
    results = torch.zeros_like(value), torch.empty_like(projections)
    inputs = (grad, value, _c_shapes(tuple(shapes)), projections, points, _stride(points))
    _launch("audio_deform_attn_backward", value, shapes, Q, samples, *inputs, bias, gate, *results)
    return results


def _stride(points: Tensor) -> int:
    """Elements from one batch entry's points to the next: none where all share them."""
    return math.prod(points.shape[1:]) if points.ndim == 4 else 0
