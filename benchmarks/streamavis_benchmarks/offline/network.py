"""An offline network and a recording to measure it on, where the user names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from streamavis import checkpoint
from streamavis.model.avism import AVISM, avism_r50

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from streamavis_apps.commands.options import Size

__all__ = ["network", "pictures", "sound"]

_CELL = 32  # pixels between the random colours of a drawn picture
# Makes random class scores as decided as trained ones, so that masks are drawn for many objects.
_DECIDED = 7.0


def network(path: Path | None) -> tuple[AVISM, str]:
    """Load the weights at `path`, or make an untrained AVISM R50; and say which it is.

    Raises:
        CheckpointError: the file is not usable.
    """
    if path is not None:
        return checkpoint.load_avism(path), path.name
    torch.manual_seed(0)
    model = AVISM(avism_r50()).eval().requires_grad_(False)
    model.class_embed.weight.mul_(_DECIDED)
    return model, "untrained R50"


def pictures(frames: int, size: Size, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """`frames` smooth random pictures (H, W, 3), made as they are asked for."""
    rng = np.random.default_rng(seed)
    rows, columns = (max(2, side // _CELL) for side in (size.height, size.width))
    for _ in range(frames):
        colours = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
        large = cv2.resize(colours, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        yield np.asarray(large, np.uint8)


def sound(model: AVISM, frames: int, seed: int = 0) -> torch.Tensor:
    """Features of a second's sound for each of `frames`, (T, A), as large as VGGish's are."""
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(frames, model.config.audio_channels, generator=rng)
