"""What is said of every slot: class, mask, visible, identity, and whether it is heard.

B streams, T frames, V slots, C channels, D mask channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from streamavis.layers import MLP

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.audio.features import AudioFeatures
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = [
    "EXTRA_HEADS",
    "ClassHead",
    "HeadInputs",
    "IdentityHead",
    "Pose",
    "SlotHeads",
    "Sounding",
    "SoundingHead",
    "class_sounding",
    "classify",
    "mask_pool",
]

_MATCH_LOGIT = 4.0  # between a class that is surely not heard and one that surely is
_SHARPNESS, _LOGIT_RANGE = 2.0, 8.0  # of a mask that features are averaged under
_SURE = 1e-6  # no probability is nearer to 0 or 1: logits stay finite

# How a slot is known to sound: a head that was taught, or, as in AVISM, by being found at all.
Sounding = Literal["taught", "found"]


def mask_pool(mask_logits: Tensor, features: Tensor) -> Tensor:
    """Mean of a map under each soft mask, which takes no gradient.

    Args:
        mask_logits: (N, V, H, W); features: (N, C, H, W).

    Returns:
        (N, V, C)
    """
    logits = mask_logits.detach().clamp(-_LOGIT_RANGE, _LOGIT_RANGE)
    weight = (logits * _SHARPNESS).sigmoid().flatten(2)
    weight = weight / (weight.sum(-1, keepdim=True) + 1e-3)
    return weight @ features.flatten(2).transpose(1, 2)


class ClassHead(nn.Module):
    """What an object is, from its query and from what lies under its mask.

    The second is not in AVISM; a small network learns classes from it far sooner.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.look = nn.Linear(channels, channels)
        self.classify = nn.Linear(channels, classes + 1)

    def forward(self, queries: Tensor, mask_logits: Tensor, stride8: Tensor) -> Tensor:
        """(N, Q, C), (N, Q, H4, W4), (N, C, H8, W8) -> (N, Q, K+1)."""
        under = mask_pool(nn.functional.avg_pool2d(mask_logits.detach(), 2), stride8)
        return self.classify(queries + self.look(under))


def classify(head: nn.Module, queries: Tensor, mask_logits: Tensor, stride8: Tensor) -> Tensor:
    """(N, Q, K+1) of a `ClassHead`, or of a linear head, which sees the queries alone (AVISM)."""
    if isinstance(head, ClassHead):
        return head(queries, mask_logits, stride8)
    return head(queries)


@dataclass
class HeadInputs:
    """What a head may look at, of T frames of B streams."""

    queries: Tensor  # (B, T, V, C), one per slot, normalised
    mask_logits: Tensor  # (B, T, V, H4, W4)
    features: PixelFeatures  # of B*T pictures
    audio: AudioFeatures  # (B, T, ...)


# Heads that a configuration may name besides those that every network has. Each is made from C and
# is a module from `HeadInputs` to (B, T, V, ...), the value that results report, not a logit. It is
# `StepOutput.extra[name]`; its loss is in `streamavis_training.losses.EXTRA_LOSSES`.
EXTRA_HEADS: Final[dict[str, Callable[[int], nn.Module]]] = {}


class IdentityHead(nn.Module):
    """Which object it is, from the stride-8 map before any sound enters."""

    def __init__(self, channels: int, outputs: int) -> None:
        """Build it; with no `outputs` nothing is learned.

        What lies under the mask then speaks for itself, less what the whole picture shows: that
        is common to all its objects and would make them alike.
        """
        super().__init__()
        self.mlp = MLP(channels, channels, outputs, 2) if outputs else None

    def forward(self, mask_logits: Tensor, features: PixelFeatures) -> Tensor:
        """(N, V, H4, W4) -> (N, V, outputs or C), not normalised."""
        coarse = nn.functional.avg_pool2d(mask_logits, 2)
        under = mask_pool(coarse, features.stride8)
        if self.mlp is None:
            return under - features.stride8.mean((2, 3))[:, None]
        return self.mlp(under)


@dataclass
class Pose:
    """How open, struck or inflated a slot's object is just now, by sight alone."""

    features: Tensor  # (B, T, V, C)
    level: Tensor  # (B, T, V), 0 at rest .. 1 at its loudest, regressed
    level_map: Tensor  # (B, T, H4, W4), the same of whatever object each cell belongs to


class SoundingHead(nn.Module):
    """Does this slot make the sound: what it is against what is heard, and its motion against
    the loudness, with a recurrent memory of how well the two have agreed so far.

    The first is most of the answer and given from the start (`match`); the rest is learned on top.
    """

    def __init__(
        self, channels: int, mask_channels: int, audio_channels: int, classes: int
    ) -> None:
        super().__init__()
        self.pose_mlp = MLP(mask_channels, channels, channels, 2)
        self.pose_level = nn.Linear(channels, 1)
        self.pose_map = nn.Conv2d(mask_channels, 1, 1)
        self.slot_key = nn.Linear(channels, channels)
        self.audio_key = nn.Linear(audio_channels, channels)
        cues = 3 * channels + 2 * classes + 5
        self.compress = nn.Linear(cues, channels)
        self.evidence = nn.GRUCell(channels, channels)
        self.decide = MLP(2 * channels, channels, 1, 2)

    def pose(self, mask_logits: Tensor, stride4: Tensor, shape: torch.Size) -> Pose:
        """Look at the object under each mask.

        Args:
            mask_logits: (B*T, V, H4, W4); stride4: (B*T, D, H4, W4); shape: (B, T).
        """
        features = self.pose_mlp(mask_pool(mask_logits, stride4)).unflatten(0, shape)
        level_map = self.pose_map(stride4)
        mean = mask_pool(mask_logits, level_map).unflatten(0, shape)
        level = self.pose_level(features) + mean
        return Pose(features, level[..., 0], level_map[:, 0].unflatten(0, shape))

    def cues(
        self, queries: Tensor, class_logits: Tensor, pose: Pose, audio: AudioFeatures
    ) -> tuple[Tensor, Tensor]:
        """What speaks for or against, before time is looked at.

        Returns:
            cues (B, T, V, C), and match (B, T, V) in 0..1: the probability that something of the
            slot's class is heard at all.
        """
        assert audio.heard_logits is not None, "taught with a listener that says what it hears"
        assert audio.heard_level is not None, "and how loud"
        probability = class_logits.softmax(-1)[..., :-1].detach()  # (B, T, V, K)
        heard = audio.heard_logits.sigmoid().detach()[:, :, None]
        share = probability / (probability.sum(-1, keepdim=True) + 1e-2)
        loudness = (share * audio.heard_level[:, :, None].detach()).sum(-1)
        level = pose.level.detach()
        compare = [loudness, level, loudness - level, (loudness - level).abs(), loudness * level]
        match = self.slot_key(queries) * self.audio_key(audio.tokens)[:, :, None]
        parts = [queries, match, pose.features, probability, probability * heard]
        cues = self.compress(torch.cat([*parts, torch.stack(compare, -1)], -1))
        return nn.functional.relu(cues), (probability * heard).sum(-1)

    def forward(
        self, cues: Tensor, match: Tensor, evidence: Tensor, fresh: Tensor, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Weigh the cues over time.

        Args:
            cues: (B, T, V, C); match: (B, T, V); evidence: (B, V, C) carried in, not changed.
            fresh, active: (B, T) bool, as in `MemoryPlan`.

        Returns:
            sounding_logits (B, T, V); evidence (B, V, C) after the last active frame.
        """
        batch, steps, slots, channels = cues.shape
        states = []
        for t in range(steps):
            before = evidence.masked_fill(fresh[:, t, None, None], 0)
            after = self.evidence(cues[:, t].flatten(0, 1), before.flatten(0, 1))
            after = after.view(batch, slots, channels)
            evidence = torch.where(active[:, t, None, None], after, evidence)
            states.append(after)
        logits = self.decide(torch.cat([cues, torch.stack(states, 1)], -1))
        return logits[..., 0] + _MATCH_LOGIT * (match - 0.5), evidence


def class_sounding(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Sounding without a head that was taught: where AVISM finds an object, the object sounds.

    Args:
        class_logits: (B, T, V, K+1); mask_logits: (B, T, V, H4, W4).

    Returns:
        (B, T, V): the logit of the best class's probability, surely not where the mask is empty.
    """
    best = class_logits.softmax(-1)[..., :-1].amax(-1)
    shown = (mask_logits > 0).flatten(3).any(-1)
    return torch.where(shown, best, 0.0).clamp(_SURE, 1 - _SURE).logit()


class SlotHeads(nn.Module):
    """Heads on the slots."""

    def __init__(
        self,
        channels: int,
        mask_channels: int,
        audio_channels: int,
        classes: int,
        *,
        look: bool,
        taught: bool,
    ) -> None:
        """Build them.

        Args:
            channels .. classes: widths and counts.
            look: the class head also sees what lies under the mask (`ClassHead`).
            taught: whether it is known who is visible, and how many sound.
        """
        super().__init__()
        self.class_embed = (
            ClassHead(channels, classes) if look else nn.Linear(channels, classes + 1)
        )
        self.mask_embed = MLP(channels, channels, mask_channels, 3)
        self.visible = nn.Linear(channels, 1) if taught else None
        self.count = MLP(channels + audio_channels, channels, 2, 2) if taught else None

    def class_logits(self, queries: Tensor, mask_logits: Tensor, stride8: Tensor) -> Tensor:
        """(N, V, C), (N, V, H4, W4), (N, C, H8, W8) -> (N, V, K+1)."""
        return classify(self.class_embed, queries, mask_logits, stride8)

    def visible_logits(self, queries: Tensor) -> Tensor | None:
        """(B, T, V, C) -> (B, T, V); None where it was not taught."""
        return None if self.visible is None else self.visible(queries)[..., 0]

    def count_logits(self, queries: Tensor, audio: Tensor) -> Tensor | None:
        """(B, T, V, C), (B, T, A) -> (B, T, 2) ordinal: more than 0 sound, then more than 1."""
        if self.count is None:
            return None
        return self.count(torch.cat([queries.amax(2), audio], -1))
