"""Argument checks of `frame_prep`. They read shapes only and never wait for a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.frames.reference import picture_size

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_frame_prep"]

_DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
_SIDE = 65535  # the largest picture a launch's grid holds


def _fail(name: str, found: object, expected: str) -> None:
    raise KernelArgumentError(f"{name} is {found}, expected {expected}")


def check_frame_prep(
    frames: Tensor,
    size: Sequence[int],
    padded: Sequence[int],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    dtype: torch.dtype,
    pixels: str,
) -> None:
    """Raise KernelArgumentError unless `frame_prep` can run on these arguments."""
    if pixels not in ("rgb", "bgr", "nv12"):
        _fail("pixels", repr(pixels), "'rgb', 'bgr' or 'nv12'")
    if frames.dtype != torch.uint8:
        _fail("frames", frames.dtype, "uint8")
    shape = tuple(frames.shape)
    if pixels == "nv12":
        if len(shape) != 3 or shape[1] % 3 or shape[2] % 2 or 0 in shape[1:]:
            _fail("frames", f"of shape {shape}", "(N, H*3/2, W) with even H and W for nv12")
    elif len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        _fail("frames", f"of shape {shape}", f"(N, H, W, 3) for {pixels}")
    if len(size) != 2 or min(size) < 1:
        _fail("size", tuple(size), "(h, w) of at least one pixel")
    if len(padded) != 2 or any(not s <= p <= _SIDE for s, p in zip(size, padded, strict=True)):
        _fail("padded", tuple(padded), f"at least size {tuple(size)}, and {_SIDE} at most")
    if max(picture_size(frames, pixels)) > _SIDE or shape[0] > _SIDE:
        _fail("frames", f"of shape {shape}", f"at most {_SIDE} frames, rows and columns")
    if dtype not in _DTYPES:
        _fail("dtype", dtype, "uint8, float32, float16 or bfloat16")
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if dtype == torch.uint8:
            _fail(name, tuple(values), "None for uint8, which keeps grey levels")
        if len(values) != 3 or (name == "std" and 0 in values):
            _fail(name, tuple(values), "three numbers, for red, green and blue")
