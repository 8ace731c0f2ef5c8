"""Masked attention, layer by layer: how queries find the objects of one frame.

N frames, Q queries, C channels, S positions of the picture, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamavis.layers import Attention, FeedForward, sine_position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["FrameDecoderLayer", "FramePrediction", "draw", "refine", "resized"]


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
    mask_maps: list[Tensor],
    layers: nn.ModuleList,
    embed: Callable[[Tensor], Tensor],
) -> Iterator[Tensor]:
    """Masked attention, layer by layer: a layer attends to where the masks before it are.

    Args:
        x: (N, Q, C) queries; position: (Q, C), of the queries.
        features: the keys and values, with level embedding.
        mask_maps: per level, the (N, C, h, w) map that its attention masks are computed from.
        layers: `FrameDecoderLayer`s.
        embed: queries to mask embeddings. Where it gives them to the last queries only, those
            before them look everywhere.

    Yields:
        the queries before the first and after each layer.
    """
    shapes = features.level_shapes
    yield x
    for i, layer in enumerate(layers):
        level = i % len(shapes)
        height, width = shapes[level]
        value = features.level(level)
        key = value + sine_position(height, width, value.shape[-1], value.device)
        with torch.no_grad():
            logits = resized(draw(embed(x), mask_maps[level]), (height, width))
            seen = _attention_mask(logits)
        free = x.shape[1] - seen.shape[1]
        if free:
            seen = F.pad(seen, (0, 0, free, 0), value=True)
        x = layer(x, position, key, value, seen)
        yield x


def draw(mask_embed: Tensor, mask_features: Tensor) -> Tensor:
    """Mask logits: (N, Q, C), (N, C, h, w) -> (N, Q, h, w)."""
    # Convolutions leave channels last: rows of pixels need no copy.
    rows = mask_features.permute(0, 2, 3, 1).flatten(1, 2)
    return (mask_embed @ rows.transpose(1, 2)).unflatten(2, mask_features.shape[2:])


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) -> (N, C, *size), bilinearly; the same tensor where it has that size."""
    if maps.shape[2:] == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def _attention_mask(mask_logits: Tensor) -> Tensor:
    """(N, Q, h*w) bool: where a query may look; a query with an empty mask looks everywhere."""
    seen = mask_logits.flatten(2) >= 0
    return seen | ~seen.any(-1, keepdim=True)
