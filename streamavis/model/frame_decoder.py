"""Masked attention, layer by layer: how queries find the objects of one frame.

N frames, Q queries, C channels, S positions of the picture, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from streamavis.model.layers import Attention, FeedForward, sine_position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["FrameDecoderLayer", "FramePrediction", "refine"]


@dataclass
class FramePrediction:
    """What the queries of one frame say it holds."""

    class_logits: Tensor  # (N, Q, K+1), last = no object
    mask_logits: Tensor  # (N, Q, H4, W4)


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
