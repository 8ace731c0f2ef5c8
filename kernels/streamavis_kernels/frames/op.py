"""`frame_prep`: checked, and handed to the chosen backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis_kernels import cupy_backend
from streamavis_kernels.backend import backend
from streamavis_kernels.frames import cuda, native, reference
from streamavis_kernels.frames.checks import check_frame_prep
from streamavis_kernels.library import library, ops

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["frame_prep"]


def frame_prep(
    frames: Tensor,
    size: tuple[int, int],
    *,
    padded: tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dtype: torch.dtype = torch.float32,
    pixels: str = "rgb",
    channels_last: bool = False,
) -> Tensor:
    """Make camera frames a network's input: resize, normalise, pad, lay out.

    Resizes as PIL's antialiased bilinear does, within one grey level. On a GPU all of it is one
    kernel; every backend rounds to whole grey levels before it normalises.

    Args:
        frames: (N, H, W, 3) uint8 with any strides, or (N, H*3/2, W) for NV12: luma rows, then
            rows of Cb, Cr pairs (BT.601, limited range).
        size: (h, w) of the pictures in the result.
        padded: (h', w') of the result, zero right of and below the pictures. None: `size`.
        mean, std: of red, green, blue in grey levels; the result is (x - mean) / std. None: 0, 1.
        dtype: float32, float16, bfloat16; or uint8 for the grey levels themselves.
        pixels: "rgb", "bgr" or "nv12".
        channels_last: lay the result out with channels innermost; its shape is the same.

    Returns:
        (N, 3, h', w'), red first. Not differentiable.

    Raises:
        KernelArgumentError: a shape, dtype or size does not fit; the message names it.
    """
    padded = size if padded is None else padded
    check_frame_prep(frames, size, padded, mean, std, dtype, pixels)
    if backend(frames.device.type) == "reference":
        return reference.frame_prep(
            frames,
            size,
            padded=padded,
            mean=mean,
            std=std,
            dtype=dtype,
            pixels=pixels,
            channels_last=channels_last,
        )
    colour = (0.0, 0.0, 0.0) if mean is None else mean, (1.0, 1.0, 1.0) if std is None else std
    return ops.frame_prep(frames, size, padded, *colour, dtype, pixels, channels_last)


library.define(
    "frame_prep(Tensor frames, int[] size, int[] padded, float[] mean, float[] std, "
    "ScalarType dtype, str pixels, bool channels_last) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
library.impl("frame_prep", native.frame_prep, "CPU")
library.impl("frame_prep", cupy_backend.on_gpu(cuda.frame_prep), "CUDA")


def _fake(
    frames: Tensor,
    size: Sequence[int],
    padded: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    pixels: str,
    channels_last: bool,
) -> Tensor:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (frames.shape[0], 3, *padded)
    return torch.empty(shape, dtype=dtype, device=frames.device, memory_format=layout)


torch.library.register_fake("streamavis::frame_prep", _fake, lib=library)
