"""What the frame queries proposed: the objects of one frame before memory and tracks decide.

B streams, Q frame queries, K classes, H W source pixels, h w network pixels, H4 W4 cells of the
stride-4 grid over the padded network picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch

from streamavis.types import MASK_STRIDE, Candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["LEAST_SCORE", "QueryOutput", "candidates"]

LEAST_SCORE = 0.1  # of what is worth showing: most queries propose nothing


@runtime_checkable
class QueryOutput(Protocol):
    """The part of the model's `StepOutput` that holds its frame queries' proposals."""

    @property
    def frame_class_logits(self) -> Tensor: ...  # (B, Q, K+1), last = no object
    @property
    def frame_mask_logits(self) -> Tensor: ...  # (B, Q, H4, W4)


def candidates(
    output: object,
    network_size: tuple[int, int],
    size: tuple[int, int],
    classes: Sequence[str],
) -> list[Candidate]:
    """Read one stream's proposals, best first.

    Args:
        output: of one step, B = 1; a model without frame queries proposes nothing.
        network_size: (h, w) of the picture before padding.
        size: (H, W) of the source picture.
        classes: names by class id.

    Returns:
        Those with a score of `LEAST_SCORE` or more and a mask that is not empty.
    """
    if not isinstance(output, QueryOutput) or output.frame_mask_logits is None:
        return []
    cells = [-(-side // MASK_STRIDE) for side in network_size]
    with torch.inference_mode():
        probs = output.frame_class_logits[0].float().softmax(-1)[:, :-1]
        masks = output.frame_mask_logits[0, :, : cells[0], : cells[1]] > 0
        columns, rows = (masks.any(axis).cpu().numpy() for axis in (1, 2))
        scores, ids = (array.cpu().numpy() for array in probs.max(-1))
    found = []
    for query in np.argsort(-scores, kind="stable"):
        if scores[query] < LEAST_SCORE or not columns[query].any():
            continue
        x, w = _extent(columns[query], network_size[1], size[1])
        y, h = _extent(rows[query], network_size[0], size[0])
        name = classes[ids[query]]
        found.append(Candidate(name, int(ids[query]), float(scores[query]), (x, y, w, h)))
    return found


def _extent(filled: NDArray[np.bool_], network: int, pixels: int) -> tuple[int, int]:
    """First pixel and length of the (cells,) that are filled, along one axis of the source."""
    cells = np.flatnonzero(filled)
    scale = pixels * MASK_STRIDE / network
    first = int(cells[0] * scale)
    last = min(round((cells[-1] + 1) * scale), pixels)
    return first, max(last - first, 1)
