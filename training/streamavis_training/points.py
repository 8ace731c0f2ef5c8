"""Losses on masks are taken at points, not everywhere (PointRend; Mask2Former, section 3.3).

n masks, P points, (x, y) in [0, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["POINTS", "RandomPoints", "sample"]

POINTS = 12_544  # 112 * 112
_OVERSAMPLE = 3
_UNCERTAIN_SHARE = 0.75


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Read (n, C, H, W) maps at (n, P, 2) or (1, P, 2) points, bilinearly: (n, C, P)."""
    grid = (2 * points - 1).expand(len(maps), -1, -1)[:, None]
    return F.grid_sample(maps, grid, align_corners=False)[:, :, 0]


class RandomPoints:
    """Points drawn anew at each call."""

    def __init__(self, count: int = POINTS) -> None:
        """Draw `count` points a mask; fewer are noisier and cheaper."""
        self._count = count

    def shared(self, device: torch.device) -> Tensor:
        """(1, P, 2), to compare all masks of a picture at."""
        return torch.rand(1, self._count, 2).to(device)

    def uncertain(self, mask_logits: Tensor) -> Tensor:
        """(n, H, W) -> (n, P, 2): mostly where a mask's edge may be, the rest anywhere."""
        masks, points = len(mask_logits), self._count
        sure = int(points * _UNCERTAIN_SHARE)
        drawn = torch.rand(masks, points * _OVERSAMPLE, 2).to(mask_logits)
        doubt = -sample(mask_logits[:, None], drawn)[:, 0].abs()
        places = doubt.topk(sure, dim=1).indices
        chosen = drawn.gather(1, places[..., None].expand(-1, -1, 2))
        return torch.cat([chosen, torch.rand(masks, points - sure, 2).to(mask_logits)], 1)
