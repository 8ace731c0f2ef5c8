"""What is said of every slot: class, mask, visible, identity, and whether it is heard.

B streams, T frames, V slots, C channels, D mask channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from streamavis.model.layers import MLP, ClassHead, mask_pool

if TYPE_CHECKING:
    from streamavis.audio.causal import AudioFeatures
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["IdentityHead", "Pose", "SlotHeads", "SoundingHead"]

_MATCH_LOGIT = 4.0  # between a class that is surely not heard and one that surely is


class IdentityHead(nn.Module):
    """Which object it is, from the stride-8 map before any sound enters."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.mlp = MLP(channels, channels, outputs, 2)

    def forward(self, mask_logits: Tensor, features: PixelFeatures) -> Tensor:
        """(N, V, H4, W4) -> (N, V, outputs), not normalised."""
        coarse = nn.functional.avg_pool2d(mask_logits, 2)
        return self.mlp(mask_pool(coarse, features.stride8))


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

    def __init__(self, channels: int, mask_channels: int, classes: int) -> None:
        super().__init__()
        self.pose_mlp = MLP(mask_channels, channels, channels, 2)
        self.pose_level = nn.Linear(channels, 1)
        self.pose_map = nn.Conv2d(mask_channels, 1, 1)
        self.slot_key = nn.Linear(channels, channels)
        self.audio_key = nn.Linear(channels, channels)
        cues = 3 * channels + 2 * classes + 5
        self.compress = nn.Linear(cues, channels)
        self.evidence = nn.GRUCell(channels, channels)
        self.decide = MLP(2 * channels, channels, 1, 2)

    def pose(self, mask_logits: Tensor, stride4: Tensor, shape: tuple[int, int]) -> Pose:
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
        probability = class_logits.softmax(-1)[..., :-1].detach()  # (B, T, V, K)
        heard = audio.heard_logits.sigmoid().detach()[:, :, None]
        share = probability / (probability.sum(-1, keepdim=True) + 1e-2)
        loudness = (share * audio.heard_level[:, :, None].detach()).sum(-1)
        level = pose.level.detach()
        compare = [loudness, level, loudness - level, (loudness - level).abs(), loudness * level]
        tokens = audio.tokens[:, :, None].expand_as(queries)
        match = self.slot_key(queries) * self.audio_key(tokens)
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


class SlotHeads(nn.Module):
    """Linear heads on the slots."""

    def __init__(self, channels: int, mask_channels: int, classes: int) -> None:
        super().__init__()
        self.class_embed = ClassHead(channels, classes)
        self.mask_embed = MLP(channels, channels, mask_channels, 3)
        self.visible = nn.Linear(channels, 1)
        self.count = MLP(2 * channels, channels, 2, 2)

    def count_logits(self, queries: Tensor, audio: Tensor) -> Tensor:
        """(B, T, V, C), (B, T, C) -> (B, T, 2) ordinal: more than 0 sound, then more than 1."""
        return self.count(torch.cat([queries.amax(2), audio], -1))
