"""The one rule by which pictures become network pictures: size, and antialiased resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from streamavis_kernels import frame_prep

from streamavis.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["MAX_ASPECT", "network_size", "prepare", "resize"]

# Where a network names no long side: wider pictures are shrunk further, which bounds the cost.
MAX_ASPECT = 2.4


def network_size(height: int, width: int, short_side: int, long_side: int = 0) -> tuple[int, int]:
    """(height, width) a picture is resized to: aspect kept, short side `short_side`.

    Args:
        height, width: of the picture; short_side: of the network's.
        long_side: the most its long side may have, beyond which the short side gives way.
            0: `MAX_ASPECT` times `short_side`.
    """
    longest = long_side or MAX_ASPECT * short_side
    scale = min(short_side / min(height, width), longest / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def prepare(
    image: NDArray[np.uint8],
    short_side: int,
    device: torch.device | str = "cpu",
    *,
    long_side: int = 0,
) -> Tensor:
    """Resize a (H, W, 3) RGB picture as PIL's antialiased bilinear does, within one grey level.

    Args:
        image: as decoded; it goes to `device` in its own size and is resized there.
        short_side, long_side: see `network_size`.
        device: where the network is.

    Returns:
        (1, 3, h, w) uint8, channels last in memory; may share memory with `image`.

    Raises:
        ShapeError: the picture is empty, not (H, W, 3) or not uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype.name != "uint8":
        raise ShapeError(f"expected a (H, W, 3) uint8 picture but got {image.shape} {image.dtype}")
    return resize(image[None], short_side, device, long_side=long_side)


def resize(
    images: NDArray[np.uint8],
    short_side: int,
    device: torch.device | str = "cpu",
    *,
    long_side: int = 0,
) -> Tensor:
    """As `prepare`, for N pictures of one size: (N, H, W, 3) -> (N, 3, h, w)."""
    frames = torch.from_numpy(images).to(device)
    height, width = images.shape[1:3]
    size = network_size(height, width, short_side, long_side)
    if size == (height, width):
        return frames.permute(0, 3, 1, 2)
    return frame_prep(frames, size, dtype=torch.uint8, channels_last=True)
