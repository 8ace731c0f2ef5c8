"""What a network is guided by, object by object, and the losses that compare the two.

The student and its guide are each matched to the ground truth; only an object that both found is
compared (OOKD). A guide is a teacher, or the student itself with later frames in view.
B clips, T frames, N objects of the truth, V slots, C channels, K classes, n matched pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from streamavis_training.distributed import normaliser

if TYPE_CHECKING:
    from streamavis.model import ClipOutput
    from streamavis_training.batch import Truth
    from streamavis_training.matcher import Match

__all__ = ["Guide", "GuideWeights", "guidance_losses", "own_guide", "steady_frames"]

_ROUNDING = 1e-6  # seconds


@dataclass(frozen=True)
class GuideWeights:
    """Weight of each term; 0 switches it off."""

    class_: float = 1.0
    bce: float = 2.0
    dice: float = 2.0
    query: float = 0.5
    sounding: float = 1.0
    temperature: float = 2.0  # of the class probabilities that are compared

    @property
    def any(self) -> bool:
        return any((self.class_, self.bce, self.dice, self.query, self.sounding))


@dataclass
class Guide:
    """Outputs of a guide for each object of the truth. Without gradient; float16 or float32."""

    class_logits: Tensor  # (B, T, N, K+1)
    mask_logits: Tensor  # (B, T, N, H4, W4)
    queries: Tensor  # (B, T, N, C)
    sounding: Tensor  # (B, T, N) probability
    known: Tensor  # (B, T, N) bool: the guide found the object
    shows: Tensor  # (B, T, N) bool: and has a mask for it
    steady: Tensor  # (B, T, N) bool: no onset or offset is near, `sounding` may be compared

    def during(self, part: slice) -> Guide:
        """Some frames."""
        return Guide(*(getattr(self, f.name)[:, part] for f in fields(self)))


def own_guide(full: ClipOutput, pairs: Match, truth: Truth, steady: Tensor) -> Guide:
    """The student's full-context output as a guide of its causal one, without gradient.

    Args:
        full: of `StreamAVIS.forward_dual`; pairs: it and the truth.
        truth: of the same clips; steady: as `Guide.steady`.
    """
    shape = truth.visible.shape  # (B, T, N)
    known = torch.zeros(shape, dtype=torch.bool, device=truth.visible.device)
    known[pairs.clip, :, pairs.object] = True

    def rows(x: Tensor) -> Tensor:
        found = x.new_zeros(*shape, *x.shape[3:])
        found[pairs.clip, :, pairs.object] = x.detach()[pairs.clip, :, pairs.query]
        return found

    return Guide(
        class_logits=rows(full.class_logits),
        mask_logits=rows(full.mask_logits),
        queries=rows(full.video_queries),
        sounding=rows(full.sounding_logits.sigmoid()),
        known=known,
        shows=known,
        steady=steady,
    )


def steady_frames(sounding: Tensor, times_s: Tensor, near_s: float) -> Tensor:
    """Where no object starts or stops sounding nearby.

    A guide with later frames detects an onset before its sound has arrived; near one it is not
    to be followed.

    Args:
        sounding: (B, T, N) bool; times_s: (B, T); near_s: seconds before and after a change.

    Returns:
        (B, T, N) bool. The first frame with the new state is never steady.
    """
    changes = torch.zeros_like(sounding)
    changes[:, 1:] = sounding[:, 1:] != sounding[:, :-1]
    near = (times_s[:, :, None] - times_s[:, None]).abs() <= near_s + _ROUNDING  # (B, T, T)
    return ~(near.float() @ changes.float()).bool()


def guidance_losses(
    output: ClipOutput,
    queries: Tensor | None,
    pairs: Match,
    guide: Guide,
    truth: Truth,
    weights: GuideWeights,
) -> dict[str, Tensor]:
    """Every weighted term by name. Each is exactly 0 where output and guide are equal.

    Args:
        output: of the student; pairs: it and the truth.
        queries: (B, T, V, C) its video queries in the guide's space; None: not compared.
        guide: on the same clips; truth: theirs. Only frames where the object is visible count.
        weights: see there.
    """

    def ours(x: Tensor) -> Tensor:  # (n, T, ...)
        return x[pairs.clip, :, pairs.query]

    def theirs(x: Tensor) -> Tensor:
        return x[pairs.clip, :, pairs.object]

    known = theirs(truth.seen & guide.known)
    terms: dict[str, Tensor] = {}
    if weights.class_:
        logits = ours(output.class_logits)[known]
        value = _class_kl(logits, theirs(guide.class_logits)[known].float(), weights.temperature)
        terms["class"] = weights.class_ * value
    if weights.bce or weights.dice:
        shown = known & theirs(guide.shows)
        logits = ours(output.mask_logits)[shown].float().flatten(1)
        soft = theirs(guide.mask_logits)[shown].float().flatten(1).sigmoid()
        count = normaliser(shown.sum())
        if weights.bce:
            terms["bce"] = weights.bce * _excess_bce(logits, soft).mean(1).sum() / count
        if weights.dice:
            terms["dice"] = weights.dice * _soft_dice(logits.sigmoid(), soft).sum() / count
    if weights.query and queries is not None:
        alike = F.cosine_similarity(
            ours(queries)[known], theirs(guide.queries)[known].float(), dim=-1
        )
        terms["query"] = weights.query * (1 - alike).sum() / normaliser(known.sum())
    if weights.sounding and output.pose_level is not None:  # it has a sounding head
        steady = known & theirs(guide.steady)
        logits = ours(output.sounding_logits)[steady].float()
        target = theirs(guide.sounding)[steady].float()
        excess = _excess_bce(logits, target).sum() / normaliser(steady.sum())
        terms["sounding"] = weights.sounding * excess
    return terms


def _class_kl(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Mean over (m, K+1) rows of KL(target || logits) at a temperature, times its square."""
    expected = (target / temperature).log_softmax(-1)
    found = (logits.float() / temperature).log_softmax(-1)
    total = F.kl_div(found, expected, reduction="sum", log_target=True)
    rows = torch.tensor(len(logits), device=logits.device)
    return temperature**2 * total / normaliser(rows)


def _excess_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against a probability, less its least value, element by element."""
    least = -torch.xlogy(target, target) - torch.xlogy(1 - target, 1 - target)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none") - least


def _soft_dice(found: Tensor, target: Tensor) -> Tensor:
    """(m, cells) -> (m,); 0 where the two are equal, also between 0 and 1."""
    squares = (found**2).sum(1) + (target**2).sum(1)
    return 1 - (2 * (found * target).sum(1) + 1) / (squares + 1)
