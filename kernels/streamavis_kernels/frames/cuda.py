"""`frame_prep` on a GPU: tensors to a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from streamavis_kernels.frames.reference import picture_size
from streamavis_kernels.launch import Launch, Variant, ceil_div, pointer, storage, struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis_kernels.launch import Runner

__all__ = ["frame_prep", "variant"]

_THREADS = 128  # as frame_prep.cu has them
_INT, _LONG = np.int32, np.int64
_SOURCE = np.dtype([("size", _INT, 4), ("strides", _LONG, 4)])
_TARGET = np.dtype([("size", _INT, 4), ("strides", _LONG, 4)])


def variant(dtype: torch.dtype, *, nv12: bool) -> Variant:
    """The kernel that writes `dtype`."""
    return Variant("frame_prep", (f"AV_O={storage(dtype)}", f"AV_NV12={int(nv12)}"))


def frame_prep(
    run: Runner,
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
    nv12 = pixels == "nv12"
    if nv12:
        frames = frames.contiguous()
    N = len(frames)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    out = torch.empty((N, 3, *padded), dtype=dtype, device=frames.device, memory_format=layout)
    if N == 0:
        return out
    height, width = picture_size(frames, pixels)
    red, blue = (2, 0) if pixels == "bgr" else (0, 2)
    strides = (*frames.stride()[:2], 1, 1) if nv12 else frames.stride()
    source = np.array([((height, width, red, blue), strides)], _SOURCE)
    target = np.array([((*size, *padded), out.stride())], _TARGET)
    colour = struct([*mean, *std], np.float32)
    blocks = (ceil_div(padded[1], _THREADS), padded[0], N)
    arguments = (pointer(frames), source, pointer(out), target, colour)
    run(Launch(variant(dtype, nv12=nv12), blocks, _THREADS, arguments))
    return out
