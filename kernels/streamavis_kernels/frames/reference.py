"""Camera frames to network input in plain PyTorch: what every backend must compute.

Backends agree to one grey level: PIL, PyTorch and the kernel round at different places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_rgb", "frame_prep", "picture_size", "resized"]


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
    """Resize, normalise, pad.

    Same arguments and result as `streamavis_kernels.frame_prep`.
    """
    grey = resized(as_rgb(frames, pixels), size)
    if dtype != torch.uint8:
        grey = grey.float()
        if mean is not None:
            grey = grey - grey.new_tensor(mean).view(3, 1, 1)
        if std is not None:
            grey = grey / grey.new_tensor(std).view(3, 1, 1)
    height, width = padded or size
    out = F.pad(grey, (0, width - size[1], 0, height - size[0])).to(dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return out.contiguous(memory_format=layout)


def picture_size(frames: Tensor, pixels: str) -> tuple[int, int]:
    """(height, width) of the pictures, whose rows NV12 follows with half as many of chroma."""
    height, width = frames.shape[1], frames.shape[2]
    return (height * 2 // 3, width) if pixels == "nv12" else (height, width)


def as_rgb(frames: Tensor, pixels: str) -> Tensor:
    """(N, 3, H, W) uint8; NV12 is BT.601, limited range, as OpenCV reads it."""
    if pixels != "nv12":
        rgb = frames if pixels == "rgb" else frames.flip(-1)
        return rgb.permute(0, 3, 1, 2)
    height, width = picture_size(frames, pixels)
    luma = 1.164384 * (frames[:, :height].float() - 16).clamp(min=0)
    chroma = frames[:, height:].view(-1, height // 2, width // 2, 2).float() - 128
    cb, cr = chroma.repeat_interleave(2, 1).repeat_interleave(2, 2).unbind(-1)
    channels = (
        luma + 1.596027 * cr,
        luma - 0.391762 * cb - 0.812968 * cr,
        luma + 2.017232 * cb,
    )
    return torch.stack(channels, 1).round().clamp(0, 255).to(torch.uint8)


def resized(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, 3, H, W) -> (N, 3, h, w) uint8, as PIL's antialiased bilinear does it."""
    if tuple(rgb.shape[2:]) == tuple(size):
        return rgb
    # Only on a CPU does PyTorch resize bytes.
    source = rgb if rgb.device.type == "cpu" else rgb.float()
    small = F.interpolate(source, tuple(size), mode="bilinear", antialias=True)
    return small if small.dtype == torch.uint8 else small.round().clamp(0, 255).to(torch.uint8)
