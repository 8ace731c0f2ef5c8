"""Which prediction answers for which object: bipartite matching by cost (DETR, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from streamavis.errors import ModelOutputError

if TYPE_CHECKING:
    from streamavis_training.batch import Truth

__all__ = ["CostWeights", "Match", "match"]


@dataclass(frozen=True)
class CostWeights:
    """Weights of the matching cost (Mask2Former's)."""

    class_prob: float = 2.0
    bce: float = 5.0
    dice: float = 5.0


@dataclass
class Match:
    """Matched pairs, one entry each."""

    clip: Tensor  # (n,) row of the batch
    query: Tensor  # (n,)
    object: Tensor  # (n,)

    def __len__(self) -> int:
        return len(self.clip)


@torch.no_grad()
def match(
    class_logits: Tensor,
    mask_logits: Tensor,
    truth: Truth,
    weights: CostWeights = CostWeights(),
) -> Match:
    """Give each object that is visible in the clip one query of its own for the whole clip.

    Args:
        class_logits: (B, T, Q, K+1); mask_logits: (B, T, Q, H4, W4).
        truth: of the same clips. Costs are averaged over the frames an object is visible in.

    Raises:
        ModelOutputError: a cost is not finite: the logits hold NaN or infinity.
    """
    cost = _cost(class_logits, mask_logits, truth, weights)  # (B, T, Q, N)
    seen = truth.seen[:, :, None].float()  # (B, T, 1, N)
    mean = ((cost * seen).sum(1) / seen.sum(1).clamp_min(1)).cpu().numpy()
    present = truth.seen.any(1).cpu().numpy()
    clips, queries, objects = [], [], []
    for b in range(mean.shape[0]):
        columns = present[b].nonzero()[0]
        if not np.isfinite(mean[b][:, columns]).all():
            raise ModelOutputError(
                f"class or mask logits of clip {b} of the batch are not finite "
                f"({_unfit(class_logits[b])} class and {_unfit(mask_logits[b])} mask logits)"
            )
        rows, chosen = linear_sum_assignment(mean[b][:, columns])
        clips += [b] * len(rows)
        queries += rows.tolist()
        objects += columns[chosen].tolist()
    device = class_logits.device
    return Match(
        *(torch.tensor(v, dtype=torch.int64, device=device) for v in (clips, queries, objects))
    )


def _unfit(logits: Tensor) -> int:
    return int((~logits.isfinite()).sum())


def _cost(class_logits: Tensor, mask_logits: Tensor, truth: Truth, weights: CostWeights) -> Tensor:
    queries = class_logits.shape[2]
    index = truth.class_ids.clamp_min(0)[:, None, None]  # (B, 1, 1, N)
    probability = class_logits.softmax(-1)
    index = index.expand(*class_logits.shape[:2], queries, -1)
    logits, target = mask_logits.float().flatten(3), truth.masks.flatten(3)
    cells = logits.shape[-1]
    bce = F.softplus(logits).sum(-1)[..., None] - torch.einsum("btqs,btns->btqn", logits, target)
    soft = logits.sigmoid()
    overlap = torch.einsum("btqs,btns->btqn", soft, target)
    dice = 1 - (2 * overlap + 1) / (soft.sum(-1)[..., None] + target.sum(-1)[:, :, None] + 1)
    return (
        -weights.class_prob * probability.gather(-1, index)
        + weights.bce * bce / cells
        + weights.dice * dice
    )
