"""Source pictures to network size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from streamavis_kernels import frame_prep

from streamavis.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["MAX_ASPECT", "network_size", "prepare"]

# A picture longer than this is shrunk further, so that no stream costs more than a cinema's.
MAX_ASPECT = 2.4


def network_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) a picture is resized to: aspect kept, short side `short_side`.

    The long side ends at `MAX_ASPECT * short_side`; beyond that the short side gives way.
    """
    scale = min(short_side / min(height, width), MAX_ASPECT * short_side / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def prepare(
    image: NDArray[np.uint8], short_side: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Resize a (H, W, 3) RGB picture as PIL's antialiased bilinear does, within one grey level.

    Args:
        image: as decoded; it goes to `device` in its own size and is resized there.
        short_side: of the network's picture.
        device: where the network is.

    Returns:
        (1, 3, h, w) uint8, channels last in memory; may share memory with `image`.

    Raises:
        ShapeError: the picture is empty, not (H, W, 3) or not uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype.name != "uint8":
        raise ShapeError(f"expected a (H, W, 3) uint8 picture but got {image.shape} {image.dtype}")
    frames = torch.from_numpy(image)[None].to(device)
    size = network_size(image.shape[0], image.shape[1], short_side)
    if size == tuple(image.shape[:2]):
        return frames.permute(0, 3, 1, 2)
    return frame_prep(frames, size, dtype=torch.uint8, channels_last=True)
