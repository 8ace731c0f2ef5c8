"""Pictures of what a network does in training: masks over frames, truth beside prediction."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from streamavis.model import ClipOutput
    from streamavis_training.batch import Batch

__all__ = ["comparison"]

_CELL = 4  # masks are given at stride 4
_FRAMES = 4  # of a clip, at most


def comparison(batch: Batch, output: ClipOutput, clip: int = 0, score: float = 0.5) -> Tensor:
    """One clip's frames from top to bottom, with its true objects left and found ones right.

    Objects of one class have one colour; what sounds is drawn stronger.

    Args:
        batch, output: of the same clips; clip: which of them.
        score: class probability from which a slot is drawn.

    Returns:
        (3, H, W) uint8.
    """
    truth = batch.truth
    count = min(batch.frames.shape[1], _FRAMES)
    classes = output.class_logits.shape[-1] - 1
    probability = output.class_logits[clip].softmax(-1)[..., :-1].cpu()  # (T, V, K)
    best, kinds = probability.max(-1)
    sounds = (output.sounding_logits[clip] > 0).cpu()
    found = output.mask_logits[clip].sigmoid().cpu()
    rows = []
    for t in range(count):
        frame = batch.frames[clip, t].cpu()
        seen = truth.seen[clip, t].cpu()
        left = _paint(
            frame,
            truth.masks[clip, t].cpu()[seen],
            truth.class_ids[clip].cpu()[seen],
            truth.sounding[clip, t].cpu()[seen] == 1,
            classes,
        )
        shown = best[t] >= score
        right = _paint(frame, found[t][shown], kinds[t][shown], sounds[t][shown], classes)
        rows.append(torch.cat([left, right], 2))
    return torch.cat(rows, 1)


def _paint(frame: Tensor, masks: Tensor, kinds: Tensor, sounds: Tensor, classes: int) -> Tensor:
    """(3, H, W) uint8 and (N, H4, W4) shares -> (3, H, W) uint8."""
    height, width = frame.shape[-2:]
    picture = frame.float()
    for mask, kind, loud in zip(masks, kinds, sounds, strict=True):
        whole = F.interpolate(mask[None, None].float(), scale_factor=_CELL, mode="bilinear")
        share = whole[0, 0, :height, :width].clamp(0, 1) * (0.75 if loud else 0.35)
        hue = float(kind) / max(classes, 1)
        colour = torch.tensor(colorsys.hsv_to_rgb(hue, 1.0, 1.0))[:, None, None] * 255
        picture = picture * (1 - share) + colour * share
    return picture.round().to(torch.uint8)
