"""What AVISM is trained to say: frame by frame, clip by clip, and which queries are one object.

B clips, T frames, Q frame queries, V video queries, N objects of a clip, L frame layers whose
queries the tracker is trained on, K classes, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from streamavis.errors import ModelOutputError
from streamavis_training.distributed import normaliser
from streamavis_training.losses import ordinal_count_loss
from streamavis_training.points import RandomPoints, sample

if TYPE_CHECKING:
    from streamavis.model.avism import ClipPrediction, Lesson

__all__ = ["AVISMWeights", "ClipTruth", "Compat", "Pairs", "PointSource", "avism_losses"]

Compat = Literal["paper", "reference"]
Head = TypeVar("Head")


@dataclass
class ClipTruth:
    """The objects of one clip; an object that is never present is left out."""

    classes: Tensor  # (N,) int64
    present: Tensor  # (N, T) bool: heard and seen
    masks: Tensor  # (N, T, H, W) float 0..1, of the padded frames; zeros where not present


@dataclass(frozen=True)
class AVISMWeights:
    """Weight of each term."""

    class_: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1  # of the no-object class within the class term
    similarity: float = 0.5  # the paper's lambda; the published code applies 1
    count: float = 1.0


class PointSource(Protocol):
    """Where masks are compared."""

    def shared(self, device: torch.device) -> Tensor:
        """(1, P, 2)"""
        ...

    def uncertain(self, mask_logits: Tensor) -> Tensor:
        """(n, H, W) -> (n, P, 2)"""
        ...


@dataclass
class Pairs:
    """Which query answers for which object of one picture or clip."""

    query: Tensor  # (n,)
    object: Tensor  # (n,)


@dataclass(frozen=True)
class _Targets:
    """The objects of one picture (T = 1) or clip."""

    labels: Tensor  # (n,) int64; K = no object
    masks: Tensor  # (n, T, H, W)
    ids: Tensor  # (n,) rows of the clip's truth


@dataclass
class _Terms:
    """The three terms of a set of predictions, and who was matched."""

    class_: Tensor
    mask: Tensor
    dice: Tensor
    pairs: list[Pairs]


def avism_losses(
    lesson: Lesson,
    truths: list[ClipTruth],
    weights: AVISMWeights = AVISMWeights(),
    *,
    compat: Compat = "paper",
    points: PointSource | None = None,
) -> tuple[dict[str, Tensor], list[list[Pairs]], list[list[Pairs]]]:
    """Every weighted term by its published name; their sum is the loss.

    Args:
        lesson: from `AVISM.supervised`; truths: one per clip of its batch.
        weights: see `AVISMWeights`.
        compat: "reference" does as the published code does: the similarity's weight is 1, and an
            object that is absent in a clip's first frame has the target "no object" there.
        points: where masks are compared; random by default.

    Raises:
        ModelOutputError: logits are not finite.

    Returns:
        the terms; the pairs of each frame head (last, then the others in order) for each frame;
        and those of each clip head for each of L*B items.
    """
    points = points or RandomPoints()
    if compat == "reference":
        weights = AVISMWeights(**vars(weights) | {"similarity": 1.0})
    terms: dict[str, Tensor] = {}
    frames = [one for truth in truths for one in _frames(truth)]
    frame_pairs = []
    for suffix, prediction in _last_first(lesson.frame_predictions):
        masks = prediction.mask_logits[:, :, None]
        found = _set_losses(prediction.class_logits, masks, frames, weights, points)
        frame_pairs.append(found.pairs)
        terms |= _weighted("loss_", suffix, found, weights)
    clips = [_clip(truth, compat, _none(lesson)) for truth in truths]
    clip_pairs = []
    for suffix, heard in _last_first(lesson.clip_predictions):
        layers = len(heard.class_logits)
        found = _set_losses(
            heard.class_logits.flatten(0, 1),
            _clip_masks(heard, lesson.video_mask_features),
            clips * layers,
            weights,
            points,
        )
        clip_pairs.append(found.pairs)
        terms |= _weighted("loss_avism_", suffix, found, weights)
    # The tracker is trained on the last L heads: the last one, and those before it.
    layers = len(lesson.token_similarity)
    trained = [*frame_pairs[1:], frame_pairs[0]][-layers:]
    similarity = _similarity_loss(lesson, frames, clips, trained, clip_pairs[0])
    terms["loss_clip_sim"] = weights.similarity * similarity
    if lesson.count_logits is not None:
        number = torch.cat([truth.present.sum(0) for truth in truths])
        count = ordinal_count_loss(lesson.count_logits.flatten(0, 1), number)
        terms["loss_count"] = weights.count * count
    return terms, frame_pairs, clip_pairs


def _none(lesson: Lesson) -> int:
    """The label of no object."""
    return lesson.clip_predictions[-1].class_logits.shape[-1] - 1


def _frames(truth: ClipTruth) -> list[_Targets]:
    """Each frame's targets: what is present in it."""
    targets = []
    for t in range(truth.present.shape[1]):
        ids = truth.present[:, t].nonzero()[:, 0]
        targets.append(_Targets(truth.classes[ids], truth.masks[ids, t : t + 1], ids))
    return targets


def _clip(truth: ClipTruth, compat: Compat, none: int) -> _Targets:
    labels = truth.classes
    if compat == "reference":
        labels = labels.masked_fill(~truth.present[:, 0], none)
    return _Targets(labels, truth.masks, torch.arange(len(labels), device=labels.device))


def _clip_masks(prediction: ClipPrediction, features: Tensor) -> Tensor:
    """(L*B, V, T, H4, W4)"""
    masks = torch.einsum("lbvc,btchw->lbvthw", prediction.mask_embed, features)
    return masks.flatten(0, 1)


def _last_first(heads: list[Head]) -> list[tuple[str, Head]]:
    return [("", heads[-1]), *((f"_{i}", head) for i, head in enumerate(heads[:-1]))]


def _weighted(prefix: str, suffix: str, found: _Terms, weights: AVISMWeights) -> dict[str, Tensor]:
    return {
        f"{prefix}ce{suffix}": weights.class_ * found.class_,
        f"{prefix}mask{suffix}": weights.mask * found.mask,
        f"{prefix}dice{suffix}": weights.dice * found.dice,
    }


def _set_losses(
    class_logits: Tensor,
    mask_logits: Tensor,
    targets: list[_Targets],
    weights: AVISMWeights,
    points: PointSource,
) -> _Terms:
    """Match, and compare what is matched.

    Args:
        class_logits: (n, Q, K+1); mask_logits: (n, Q, T, H4, W4); targets: n.
    """
    pairs = [
        _match(classes, masks, target, weights, points)
        for classes, masks, target in zip(class_logits, mask_logits, targets, strict=True)
    ]
    none = class_logits.shape[-1] - 1
    labels = torch.full(class_logits.shape[:2], none, device=class_logits.device)
    for row, pair, target in zip(labels, pairs, targets, strict=True):
        row[pair.query] = target.labels[pair.object]
    balance = torch.ones(none + 1, device=class_logits.device)
    balance[none] = weights.no_object
    # Means are over the batches of all processes that train together.
    weight = normaliser(balance[labels].sum(), least=1e-6)
    class_loss = F.cross_entropy(
        class_logits.flatten(0, 1), labels.flatten(), balance, reduction="sum"
    )
    class_loss = class_loss / weight

    found = torch.cat([m[p.query] for m, p in zip(mask_logits, pairs, strict=True)])
    wanted = torch.cat([t.masks[p.object] for t, p in zip(targets, pairs, strict=True)])
    objects = sum(len(target.labels) for target in targets)
    count = normaliser(torch.tensor(objects, device=class_logits.device))
    if not len(found):
        nothing = mask_logits.sum() * 0
        return _Terms(class_loss, nothing, nothing, pairs)
    shape = found.shape[:2]  # (n, T): points of each are its own
    flat = found.flatten(0, 1)
    with torch.no_grad():
        places = points.uncertain(flat.detach())
        truth = sample(wanted.flatten(0, 1)[:, None], places).view(*shape, -1).flatten(1)
    logits = sample(flat[:, None], places).view(*shape, -1).flatten(1)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
    soft = logits.sigmoid()
    dice = 1 - (2 * (soft * truth).sum(1) + 1) / (soft.sum(1) + truth.sum(1) + 1)
    return _Terms(class_loss, bce.sum() / count, dice.sum() / count, pairs)


@torch.no_grad()
def _match(
    class_logits: Tensor,
    mask_logits: Tensor,
    target: _Targets,
    weights: AVISMWeights,
    points: PointSource,
) -> Pairs:
    """Give each object a query of its own: (Q, K+1), (Q, T, H4, W4)."""
    places = points.shared(mask_logits.device)
    logits = sample(mask_logits, places).flatten(1)  # (Q, T*P)
    masks = sample(target.masks, places).flatten(1)  # (n, T*P)
    probability = class_logits.softmax(-1)[:, target.labels]
    bce = F.softplus(-logits) @ masks.T + F.softplus(logits) @ (1 - masks).T
    soft = logits.sigmoid()
    dice = 1 - (2 * soft @ masks.T + 1) / (soft.sum(1)[:, None] + masks.sum(1) + 1)
    cost = weights.mask * bce / logits.shape[1] + weights.dice * dice
    costs = (cost - weights.class_ * probability).cpu()
    if not costs.isfinite().all():
        raise ModelOutputError("class or mask logits are not finite: they hold NaN or infinity")
    queries, objects = linear_sum_assignment(costs.numpy())
    device = class_logits.device
    return Pairs(torch.as_tensor(queries, device=device), torch.as_tensor(objects, device=device))


def _similarity_loss(
    lesson: Lesson,
    frames: list[_Targets],
    clips: list[_Targets],
    frame_pairs: list[list[Pairs]],
    clip_pairs: list[Pairs],
) -> Tensor:
    """Two queries of a clip are alike exactly if they are of one object.

    Args:
        frames: B*T; clips: B; frame_pairs: of L heads; clip_pairs: L*B.
    """
    tokens = lesson.token_similarity
    layers, batch, steps = tokens.shape[:3]
    queries = lesson.clip_predictions[-1].similarity
    total, number = tokens.sum() * 0, 0
    for layer in range(layers):
        for b in range(batch):
            pair = clip_pairs[layer * batch + b]
            vectors = [queries[layer, b, pair.query]]
            ids = [clips[b].ids[pair.object]]
            for t in range(steps):
                pair = frame_pairs[layer][b * steps + t]
                vectors.append(tokens[layer, b, t, pair.query])
                ids.append(frames[b * steps + t].ids[pair.object])
            vector, owner = torch.cat(vectors), torch.cat(ids)
            same = (owner[:, None] == owner).float()
            logits = vector @ vector.T
            total = total + F.binary_cross_entropy_with_logits(logits, same, reduction="sum")
            number += same.numel()
    return total / normaliser(torch.tensor(number, device=tokens.device))
