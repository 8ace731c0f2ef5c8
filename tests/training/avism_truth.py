"""Points and targets of the reference's recordings, for the tests of AVISM's losses."""

from __future__ import annotations

import numpy as np
import torch
from streamavis_training.avism_losses import ClipTruth, Pairs


class GridPoints:
    """The 112 x 112 cell centres wherever points are drawn."""

    def __init__(self) -> None:
        centres = (torch.arange(112) + 0.5) / 112
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        self.points = torch.stack([x, y], -1).view(1, -1, 2)

    def shared(self, device: torch.device) -> torch.Tensor:
        return self.points

    def uncertain(self, mask_logits: torch.Tensor) -> torch.Tensor:
        return self.points.expand(len(mask_logits), -1, -1)


def truth_of(golden: dict[str, np.ndarray]) -> ClipTruth:
    shape = tuple(golden["gt_shape"])
    masks = np.unpackbits(golden["gt_masks_packbits"])[: np.prod(shape)].reshape(shape)
    return ClipTruth(
        torch.from_numpy(golden["gt_classes"]),
        torch.from_numpy(golden["gt_ids"] >= 0),
        torch.from_numpy(masks).float(),
    )


def matched(found: list[Pairs], expected: np.ndarray) -> bool:
    """`expected` (n, 2, N): queries and their objects, -1 where empty."""
    return all(
        sorted(zip(pair.query.tolist(), pair.object.tolist(), strict=True))
        == sorted(zip(*row[:, row[0] >= 0].tolist(), strict=True))
        for pair, row in zip(found, expected, strict=True)
    )
