"""`frame_prep` on a CPU: PyTorch resizes bytes well, C++ does the rest in one pass."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels.build import FLAGS, load
from streamavis_kernels.frames import reference
from streamavis_kernels.launch import CSRC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["frame_prep"]

_pointer, _index, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_ARGUMENTS = (
    *(_pointer, *[_index] * 4, *[_int] * 3, _pointer),
    *(_pointer, *[_index] * 4, *[_int] * 3),
)
# Below this many pixels, waking another thread costs more than it saves.
_SERIAL_BELOW = 1 << 17


@functools.cache
def _function() -> Callable[..., None]:
    function: Callable[..., None] = load(CSRC / "frame_prep.cpp", FLAGS).frame_prep
    function.argtypes, function.restype = _ARGUMENTS, None  # type: ignore[attr-defined]
    return function


def frame_prep(
    frames: Tensor,
    size: Sequence[int],
    padded: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    pixels: str,
    channels_last: bool,
) -> Tensor:
    """See `streamavis_kernels.frame_prep`; all arguments are given."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    rgb = reference.resized(reference.as_rgb(frames, pixels), (size[0], size[1]))
    if dtype == torch.uint8 and tuple(padded) == tuple(size):
        return rgb.contiguous(memory_format=layout)
    if dtype == torch.uint8:
        out = rgb.new_zeros((len(rgb), 3, *padded)).to(memory_format=layout)
        out[:, :, : size[0], : size[1]] = rgb
        return out
    out = torch.empty((len(rgb), 3, *padded), memory_format=layout)
    threads = torch.get_num_threads() if out.numel() >= _SERIAL_BELOW else 1
    table = _table(tuple(mean), tuple(std))
    source = (rgb.data_ptr(), *rgb.stride(), len(rgb), size[0], size[1], table.data_ptr())
    _function()(*source, out.data_ptr(), *out.stride(), *padded, threads)
    return out.to(dtype)


@functools.lru_cache(maxsize=16)
def _table(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(3, 256), what each grey level becomes."""
    levels = torch.arange(256, dtype=torch.float32)
    return (levels - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]
