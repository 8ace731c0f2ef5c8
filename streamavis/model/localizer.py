"""The localizer: queries that sound conditions find the objects of one frame.

N frames, Q queries, C channels, A audio channels, D mask channels, L levels, K classes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from streamavis.layers import MLP, sine_of_points
from streamavis.model.frame_decoder import FrameDecoderLayer, FramePrediction, draw, refine, resized
from streamavis.model.fusion_deformable import DeformableFusion
from streamavis.model.fusion_dense import AudioCentricFusion, DenseFusion
from streamavis.model.heads import ClassHead, classify

if TYPE_CHECKING:
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["FrameFusion", "Localized", "Localizer"]

FrameFusion = Literal["dense", "deformable", "audio-centric", "none"]


@dataclass
class Localized:
    """The objects of N frames, as seen before the first and after each layer."""

    queries: list[Tensor]  # (N, Q, C), not normalised
    predictions: list[FramePrediction]
    count_logits: Tensor | None  # (N, levels), ordinal, of the last layer


class Localizer(nn.Module):
    """Queries, fusion with sound, masked-attention layers and the heads after each.

    With deformable fusion a query has a place of its own, around which it looks in every layer.
    With a count token (ACVIS) one more query walks along, which sees the whole picture and says
    how many objects sound.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        audio_channels: int,
        queries: int,
        layers: int,
        heads: int,
        levels: int,
        hidden: int,
        fusion: FrameFusion,
        count_levels: int = 0,
        mask_channels: int | None = None,
        fusion_points: int = 8,
        look: bool = False,
    ) -> None:
        """Build it.

        Args:
            channels .. hidden: widths and counts.
            fusion: how sound enters.
            count_levels: of the count token; 0 for none.
            mask_channels: of the mask features; None: `channels`.
            fusion_points: sampled per head and level, where fusion is deformable.
            look: the class head also sees what lies under the mask (`ClassHead`).
        """
        super().__init__()
        mask_channels = mask_channels or channels
        # A query with a place needs little else to tell it from the others.
        feat, embed, level = (0.5, 0.1, 0.02) if fusion == "deformable" else (1.0, 1.0, 1.0)
        self.query_feat = nn.Parameter(torch.randn(queries, channels) * feat)
        self.query_embed = nn.Parameter(torch.randn(queries, channels) * embed)
        self.level_embed = nn.Parameter(torch.randn(levels, channels) * level)
        self.fusion: DeformableFusion | DenseFusion | AudioCentricFusion | None = None
        if fusion == "deformable":
            self.fusion = DeformableFusion(
                channels,
                audio_channels,
                heads,
                levels,
                points=fusion_points,
                queries=queries + bool(count_levels),
            )
        elif fusion == "dense":
            self.fusion = DenseFusion(channels, audio_channels, heads, levels)
        elif fusion == "audio-centric":
            self.fusion = AudioCentricFusion(channels, audio_channels, heads, layers=3)
        self.layers = nn.ModuleList(
            FrameDecoderLayer(channels, heads, hidden) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.class_embed = (
            ClassHead(channels, classes) if look else nn.Linear(channels, classes + 1)
        )
        self.mask_embed = MLP(channels, channels, mask_channels, 3)
        self.count_token: nn.Parameter | None = None
        self.count: nn.Linear | None = None
        if count_levels:
            self.count_token = nn.Parameter(torch.randn(1, channels))
            self.count = nn.Linear(channels, count_levels)

    def predict(self, queries: Tensor, features: PixelFeatures) -> FramePrediction:
        """Heads on normalised queries."""
        masks = draw(self.mask_embed(queries), features.mask_features)
        return FramePrediction(classify(self.class_embed, queries, masks, features.stride8), masks)

    def mask_maps(self, features: PixelFeatures) -> list[Tensor]:
        """Per level, the map that attention masks are computed from, without gradient.

        The map is resized here, once. Resizing every mask instead gives the same, as resizing is
        linear, at many times the cost.
        """
        mask_features = features.mask_features.detach()
        return [resized(mask_features, size) for size in features.level_shapes]

    def forward(self, features: PixelFeatures, audio: Tensor, *, keep: int) -> Localized:
        """Find the objects of each frame.

        Args:
            features: of N frames; audio: (N, A).
            keep: layers whose result is wanted, counted from the last.
        """
        x: Tensor = self.query_feat
        position: Tensor = self.query_embed
        if isinstance(self.fusion, DeformableFusion):
            position = position + sine_of_points(self.fusion.points, position.shape[1])
        free = 0
        if self.count_token is not None:
            # The token is its own position.
            x, position = (torch.cat([self.count_token, y]) for y in (x, position))
            free = 1
        embedded = features.with_level_embed(self.level_embed)
        if isinstance(self.fusion, DeformableFusion):
            x = self.fusion(x, position, audio, features)  # levels are told apart by their samples
        elif self.fusion is not None:
            x = self.fusion(x, position, audio, embedded)
        steps = refine(
            x.expand(len(audio), -1, -1),
            position,
            embedded,
            mask_maps=self.mask_maps(features),
            layers=self.layers,
            embed=lambda queries: self.mask_embed(self.norm(queries[:, free:])),
        )
        states = deque(steps, maxlen=keep)
        count_logits = None
        if self.count is not None:
            count_logits = self.count(self.norm(states[-1][:, 0]))
        queries = [state[:, free:] for state in states]
        predictions = [self.predict(self.norm(x), features) for x in queries]
        return Localized(queries, predictions, count_logits)
