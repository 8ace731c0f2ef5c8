"""Frame decoder (the localizer): audio-conditioned queries find the objects of one frame.

N frames, Q queries, C channels, M heads, L levels, P points, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from streamavis_kernels import audio_deform_attn
from torch import Tensor, nn

from streamavis.model.layers import (
    MLP,
    Attention,
    ClassHead,
    FeedForward,
    sine_of_points,
    sine_position,
)
from streamavis.model.pixel_decoder import PixelFeatures, offset_directions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DeformableFusion", "FrameDecoder", "FrameDecoderLayer", "FramePrediction", "refine"]


@dataclass
class FramePrediction:
    """What the queries of one frame say it holds."""

    class_logits: Tensor  # (N, Q, K+1), last = no object
    mask_logits: Tensor  # (N, Q, H4, W4)


class DeformableFusion(nn.Module):
    """Sound steers where the queries look: sampling offsets, weights and gate come from it.

    The streaming form of AVISM's FL-AVFM: each query gathers P points per level around a learned
    reference point, so the cost is O(Q L P) and not O(Q H W).
    """

    def __init__(self, channels: int, heads: int, levels: int, points: int, queries: int) -> None:
        super().__init__()
        self.heads = heads
        samples = heads * levels * points
        self.reference = nn.Parameter(_spread(queries).logit())
        self.audio = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.projections = nn.Linear(channels, samples * 3)
        self.bias = nn.Linear(channels, samples)
        self.gate = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        nn.init.normal_(self.projections.weight, std=0.01)
        nn.init.zeros_(self.projections.bias)
        with torch.no_grad():
            self.projections.bias[: samples * 2] = offset_directions(heads, levels, points)
        for layer in (self.bias, self.gate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, queries: Tensor, position: Tensor, audio: Tensor, features: PixelFeatures
    ) -> Tensor:
        """(N, Q, C) queries and (N, C) audio tokens -> audio-conditioned queries (N, Q, C)."""
        value = self.value(features.tokens).unflatten(-1, (self.heads, -1))
        levels = len(features.level_shapes)
        references = self.reference.sigmoid()[:, None].expand(-1, levels, -1)
        conditioned = queries + self.audio(audio)[:, None]
        gathered = audio_deform_attn(
            value,
            features.level_shapes,
            self.projections(conditioned + position),
            references,
            self.bias(audio).unflatten(-1, (self.heads, -1)),
            2 * self.gate(audio).sigmoid(),  # starts at 1: the plain operator
        )
        return self.norm(conditioned + self.out(gathered))


class FrameDecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward (Mask2Former, section 3.2)."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross = Attention(channels, heads)
        self.cross_norm = nn.LayerNorm(channels)
        self.self_attention = Attention(channels, heads)
        self.self_norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, hidden)

    def forward(
        self, x: Tensor, position: Tensor, key: Tensor, value: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        """(N, Q, C) queries look at (N, S, C) keys, where `seen` (N, Q, S) is True."""
        bias = None if seen is None else seen[:, None]
        x = self.cross_norm(x + self.cross(x + position, key, value, bias))
        query = x + position
        x = self.self_norm(x + self.self_attention(query, query, x))
        return self.feed_forward(x)


class FrameDecoder(nn.Module):
    """Queries, fusion with sound, masked-attention layers and the heads after each."""

    def __init__(
        self,
        channels: int,
        mask_channels: int,
        classes: int,
        *,
        queries: int,
        layers: int,
        heads: int,
        levels: int,
        fusion_points: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.query_feat = nn.Parameter(torch.randn(queries, channels) * 0.5)
        self.query_embed = nn.Parameter(torch.randn(queries, channels) * 0.1)
        self.level_embed = nn.Parameter(torch.randn(levels, channels) * 0.02)
        self.fusion = DeformableFusion(channels, heads, levels, fusion_points, queries)
        self.layers = nn.ModuleList(
            FrameDecoderLayer(channels, heads, hidden) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.class_embed = ClassHead(channels, classes)
        self.mask_embed = MLP(channels, channels, mask_channels, 3)

    def predict(self, queries: Tensor, features: PixelFeatures) -> FramePrediction:
        """Heads on normalised queries."""
        masks = torch.einsum("nqd,ndhw->nqhw", self.mask_embed(queries), features.mask_features)
        return FramePrediction(self.class_embed(queries, masks, features.stride8), masks)

    def forward(
        self, features: PixelFeatures, audio: Tensor
    ) -> tuple[Tensor, list[FramePrediction]]:
        """Find the objects of each frame.

        Args:
            features: of N frames; audio: (N, C), one token per frame.

        Returns:
            frame_queries (N, Q, C), and the predictions before the first and after each layer.
        """
        batch = audio.shape[0]
        # A query looks around its reference point in every layer.
        points = self.fusion.reference.sigmoid()
        position = self.query_embed + sine_of_points(points, self.query_embed.shape[1])
        x = self.query_feat.expand(batch, -1, -1)
        x = self.fusion(x, position, audio, features)
        steps = refine(
            x,
            position,
            features.with_level_embed(self.level_embed),
            layers=self.layers,
            predict=lambda queries: self.predict(self.norm(queries), features),
        )
        states, predictions = zip(*steps, strict=True)
        return self.norm(states[-1]), list(predictions)


def refine(
    x: Tensor,
    position: Tensor,
    features: PixelFeatures,
    *,
    layers: nn.ModuleList,
    predict: Callable[[Tensor], FramePrediction],
) -> Iterator[tuple[Tensor, FramePrediction]]:
    """Masked attention, layer by layer: each looks where the masks before it are.

    Args:
        x: (N, Q, C) queries; position: (Q, C), of the queries.
        features: what is looked at, with level embedding; layers: `FrameDecoderLayer`s.
        predict: heads on the queries. Where it gives masks to the last queries only, those
            before them look everywhere.

    Yields:
        the queries before the first and after each layer, and what `predict` said of them.
    """
    prediction = predict(x)
    yield x, prediction
    for i, layer in enumerate(layers):
        level = i % len(features.level_shapes)
        height, width = features.level_shapes[level]
        value = features.level(level)
        key = value + sine_position(height, width, value.shape[-1], value.device)
        seen = _attention_mask(prediction.mask_logits, (height, width))
        free = x.shape[1] - seen.shape[1]
        if free:
            seen = F.pad(seen, (0, 0, free, 0), value=True)
        x = layer(x, position, key, value, seen)
        prediction = predict(x)
        yield x, prediction


def _attention_mask(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, Q, h*w) bool: where a query may look; a query with an empty mask looks everywhere."""
    resized = F.interpolate(
        mask_logits.detach(), size, mode="bilinear", align_corners=False
    ).flatten(2)
    seen = resized >= 0
    return seen | ~seen.any(-1, keepdim=True)


def _spread(count: int) -> Tensor:
    """(count, 2) points over the picture, (x, y) in (0, 1): the R2 low-discrepancy sequence."""
    steps = torch.arange(1, count + 1, dtype=torch.float64)[:, None]
    ratios = torch.tensor([0.7548776662466927, 0.5698402909980532], dtype=torch.float64)
    return (0.5 + steps * ratios).frac().clamp(0.02, 0.98).float()
