"""What the network is trained to say. B clips, T frames, V slots, N objects, K classes.

Masks are learned for every visible object and sounding is a bit of its own: by far the most
sample-efficient target that was tried.

Means are over the batches of all processes that train together: see `distributed.normaliser`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from streamavis_training.distributed import gather_rows, normaliser, rank, scaled_gradient
from streamavis_training.matcher import Match, match

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.model import ClipOutput
    from streamavis_training.batch import Truth

__all__ = [
    "EXTRA_LOSSES",
    "LossWeights",
    "hearing_losses",
    "losses",
    "ordinal_count_loss",
    "set_losses",
]


# Losses of the heads in `streamavis.model.heads.EXTRA_HEADS`, by name. Each is a weighted scalar of
# the head's values for matched slots, (n, T, ...), the truth, and the matched pairs.
EXTRA_LOSSES: Final[dict[str, Callable[[Tensor, Truth, Match], Tensor]]] = {}

_IGNORED = -100  # class target of a query that takes no class loss
_APART = 1_000_000  # more objects than a process has in a batch


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; class, bce and dice as Mask2Former."""

    class_: float = 2.0
    no_object: float = 0.1  # of the no-object class within the class term
    bce: float = 5.0
    dice: float = 5.0
    frame: float = 0.5  # of each prediction of the frame decoder, against the slots' 1
    sounding: float = 2.0
    visible: float = 1.0
    identity: float = 0.5
    heard: float = 2.0
    level: float = 4.0  # of pose from the picture and loudness from the sound
    count: float = 0.25


def losses(output: ClipOutput, truth: Truth, weights: LossWeights) -> dict[str, Tensor]:
    """Every weighted term by name; their sum is the loss. Terms without a head are absent."""
    terms: dict[str, Tensor] = {}
    single = truth.frame()
    for prediction in output.frame_predictions:
        classes, masks = prediction.class_logits[:, None], prediction.mask_logits[:, None]
        pairs = match(classes, masks, single)
        for name, value in set_losses(classes, masks, single, pairs, weights).items():
            share = weights.frame / len(output.frame_predictions) * 2
            terms[f"frame_{name}"] = terms.get(f"frame_{name}", 0.0) + share * value
    pairs = match(output.class_logits, output.mask_logits, truth)
    terms |= set_losses(output.class_logits, output.mask_logits, truth, pairs, weights)
    terms |= _slot_losses(output, truth, pairs, weights)
    if output.heard_logits is not None and output.heard_level is not None:
        terms |= hearing_losses(output.heard_logits, output.heard_level, truth, weights)
    if output.pose_map is not None:
        terms["pose_map"] = weights.level * _pose_map_loss(output.pose_map, truth)
    if output.count_logits is not None:
        sounding = torch.where(truth.seen, truth.sounding, 0.0).sum(-1).flatten()
        known = ~sounding.isnan()
        logits = output.count_logits.flatten(0, 1)[known]
        count = ordinal_count_loss(logits, sounding[known].long())
        terms["count"] = weights.count * count
    return terms


def set_losses(
    class_logits: Tensor, mask_logits: Tensor, truth: Truth, pairs: Match, weights: LossWeights
) -> dict[str, Tensor]:
    """Class, mask BCE and dice of matched predictions.

    A matched query has its object's class from the first frame the object is visible in, also
    while it is hidden later; before that, and unmatched, it is no object. Masks are compared in
    the frames where the object is visible. What the truth does not label is not punished: neither
    a matched query before its object is known to be visible, nor an unmatched one whose mask lies
    mostly where objects are unlabelled.

    Args:
        class_logits: (B, T, Q, K+1); mask_logits: (B, T, Q, H4, W4).
    """
    none = class_logits.shape[-1] - 1
    target = torch.full(class_logits.shape[:3], none, device=class_logits.device)
    if truth.ignore is not None:
        target[_mostly_inside(mask_logits, truth.ignore)] = _IGNORED
    met = truth.seen.cumsum(1).bool()[pairs.clip, :, pairs.object]  # (n, T)
    classes = truth.class_ids[pairs.clip, pairs.object][:, None]
    unmet = torch.where(truth.visible[pairs.clip, :, pairs.object].isnan(), _IGNORED, none)
    target[pairs.clip, :, pairs.query] = torch.where(met, classes, unmet)
    balance = torch.ones(none + 1, device=class_logits.device)
    balance[none] = weights.no_object
    valid = target != _IGNORED
    class_loss = F.cross_entropy(
        class_logits[valid], target[valid], balance, reduction="sum"
    ) / normaliser(balance[target[valid]].sum(), least=1e-6)

    seen = truth.seen[pairs.clip, :, pairs.object]  # (n, T)
    logits = mask_logits[pairs.clip, :, pairs.query][seen].float().flatten(1)
    masks = truth.masks[pairs.clip, :, pairs.object][seen].flatten(1)
    count = normaliser(seen.sum())
    bce = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(1).sum()
    soft = logits.sigmoid()
    dice = 1 - (2 * (soft * masks).sum(1) + 1) / (soft.sum(1) + masks.sum(1) + 1)
    return {
        "class": weights.class_ * class_loss,
        "bce": weights.bce * bce / count,
        "dice": weights.dice * dice.sum() / count,
    }


def hearing_losses(
    heard_logits: Tensor, heard_level: Tensor, truth: Truth, weights: LossWeights
) -> dict[str, Tensor]:
    """Losses of the audio encoder only: which classes sound, and how loud.

    Args:
        heard_logits, heard_level: (B, T, K).
    """
    return {
        "heard": weights.heard * _known_bce(heard_logits, truth.heard),
        "loudness": weights.level * _loudness_loss(heard_level, truth),
    }


def _slot_losses(
    output: ClipOutput, truth: Truth, pairs: Match, weights: LossWeights
) -> dict[str, Tensor]:
    visible = truth.visible[pairs.clip, :, pairs.object]  # (n, T)
    seen = visible == 1
    sounding = truth.sounding[pairs.clip, :, pairs.object]
    level = truth.level[pairs.clip, :, pairs.object]

    def of(x: Tensor) -> Tensor:
        return x[pairs.clip, :, pairs.query]

    terms: dict[str, Tensor] = {}
    if (
        output.pose_level is not None
    ):  # with a sounding head; else every detection counts as sounding
        heard = _known_bce(of(output.sounding_logits), sounding.masked_fill(~seen, torch.nan))
        terms["sounding"] = weights.sounding * heard
    if output.visible_logits is not None:
        terms["visible"] = weights.visible * _known_bce(of(output.visible_logits), visible)
    if output.pose_level is not None:
        known = seen & ~level.isnan()
        terms["pose"] = weights.level * _masked_distance(of(output.pose_level), level, known)
    for name, value in output.extra.items():
        if name in EXTRA_LOSSES:
            terms[name] = EXTRA_LOSSES[name](of(value), truth, pairs)
    terms["identity"] = weights.identity * _identity_loss(of(output.identity), seen)
    return terms


def _mostly_inside(mask_logits: Tensor, area: Tensor) -> Tensor:
    """(B, T, Q, H4, W4), (B, T, H4, W4) -> (B, T, Q) bool: over half of the mask lies in `area`."""
    inside = (mask_logits.detach() > 0).float()
    return (inside * area[:, :, None]).sum((-2, -1)) > 0.5 * inside.sum((-2, -1)).clamp_min(1)


def _known_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the targets that are not NaN."""
    return _masked_bce(logits, target.nan_to_num(), ~target.isnan())


def _masked_bce(logits: Tensor, target: Tensor, where: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * where).sum() / normaliser(where.sum())


def _masked_distance(value: Tensor, target: Tensor, where: Tensor) -> Tensor:
    # Squared up to 0.5: most levels are 0, and a distance that grows evenly ends at the median.
    loss = F.smooth_l1_loss(value, target.nan_to_num(), reduction="none", beta=0.5)
    return (loss * where).sum() / normaliser(where.sum())


def _identity_loss(identity: Tensor, seen: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrast: an object at two times is closer than two objects.

    Args:
        identity: (n, T, E) of n matched objects; seen: (n, T).
    """
    vectors = gather_rows(F.normalize(identity[seen], dim=-1))
    owner = torch.arange(seen.shape[0], device=seen.device)[:, None].expand_as(seen)[seen]
    # Processes number their objects each from 0.
    owners = gather_rows((owner + rank() * _APART).double()[:, None])
    if len(vectors) < 2:
        return identity.sum() * 0
    itself = torch.eye(len(vectors), dtype=torch.bool, device=seen.device)
    similarity = (vectors @ vectors.T / temperature).masked_fill(itself, -1e4)
    same = (owners == owners.T) & ~itself
    log_share = similarity.log_softmax(-1)
    per_anchor = -(log_share * same).sum(-1) / same.sum(-1).clamp_min(1)
    anchors = same.any(-1)
    return scaled_gradient((per_anchor * anchors).sum() / anchors.sum().clamp_min(1))


def _loudness_loss(heard_level: Tensor, truth: Truth) -> Tensor:
    """Loudness of each class that is heard from an object in view; the loudest one counts."""
    known = (truth.sounding == 1) & ~truth.level.isnan()
    level = torch.where(known, truth.level, 0.0)
    classes = truth.class_ids.clamp_min(0)[:, None].expand_as(level)
    target = torch.zeros_like(heard_level).scatter_reduce(-1, classes, level, "amax")
    where = torch.zeros_like(heard_level).scatter_reduce(-1, classes, known.float(), "amax")
    return _masked_distance(heard_level, target, where)


def _pose_map_loss(pose_map: Tensor, truth: Truth) -> Tensor:
    """The level of the object each cell belongs to, (B, T, H4, W4); cells of none are free."""
    share, owner = truth.masks.max(2)
    level = (
        truth.level[..., None, None].expand_as(truth.masks).gather(2, owner[:, :, None])[:, :, 0]
    )
    return _masked_distance(pose_map, level, (share > 0.5) & ~level.isnan())


def ordinal_count_loss(logits: Tensor, number: Tensor) -> Tensor:
    """Sound-aware ordinal counting (ACVIS; AVISM section 14).

    Args:
        logits: (N, L), logit i says number > i given number > i - 1; number: (N,) int64.
    """
    steps = torch.arange(logits.shape[1], device=logits.device)
    valid = number[:, None] > steps - 1
    target = (number[:, None] > steps).float()
    return _masked_bce(logits, target, valid)
