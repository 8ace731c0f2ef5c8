"""Where the pixels of a picture fall on a grid of mask logits."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Axis", "Grid", "grid_between"]


@dataclass(frozen=True)
class Axis:
    """One axis: a pixel's value lies between a cell and the next one."""

    low: Tensor  # (pixels,) int32, the cell before the pixel's centre
    weight: Tensor  # (pixels,) float32 in [0, 1), of the cell after it
    cells: int


@dataclass(frozen=True)
class Grid:
    rows: Axis
    columns: Axis


@functools.lru_cache(maxsize=64)
def grid_between(extent: tuple[float, float], size: tuple[int, int], device: torch.device) -> Grid:
    """Lay `extent` cells, of which the last may be cut, under a picture of `size` pixels.

    Computed in float64 on the host, so that every backend sees the same numbers.
    """
    axes = [_axis(cells, pixels, device) for cells, pixels in zip(extent, size, strict=True)]
    return Grid(*axes)


@torch.inference_mode(False)
def _axis(extent: float, pixels: int, device: torch.device) -> Axis:
    cells = math.ceil(extent)
    place = ((np.arange(pixels) + 0.5) * (extent / pixels) - 0.5).clip(0, cells - 1)
    low = place.astype(np.int32)
    weight = (place - low).astype(np.float32)
    return Axis(torch.from_numpy(low).to(device), torch.from_numpy(weight).to(device), cells)
