"""Pixel decoder: multi-scale deformable attention over the pyramid, then a path back to stride 4.

N pictures, L levels (strides 32, 16, 8 in that order), S flattened positions, C channels.
As Mask2Former's MSDeformAttn decoder (AVISM section 3), with batch norms and fewer channels in
the light form.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from streamavis_kernels import audio_deform_attn
from torch import Tensor, nn

from streamavis.layers import ConvNorm, FeedForward, sine_position

__all__ = [
    "DeformableLayer",
    "PixelDecoder",
    "PixelFeatures",
    "cell_positions",
    "encode_levels",
    "finest_map",
    "offset_directions",
]

LevelShapes = tuple[tuple[int, int], ...]


@dataclass
class PixelFeatures:
    """What one picture looks like; nothing here has heard a sound."""

    tokens: Tensor  # (N, S, C), levels one after another
    level_shapes: LevelShapes  # (h, w) of strides 32, 16, 8
    stride8: Tensor  # (N, C, H8, W8)
    stride4: Tensor  # (N, mask_channels, H4, W4)
    mask_features: Tensor  # (N, mask_channels, H4, W4)

    def level(self, index: int) -> Tensor:
        """(N, h*w, C), the tokens of one level."""
        sizes = [h * w for h, w in self.level_shapes]
        start = sum(sizes[:index])
        return self.tokens[:, start : start + sizes[index]]

    def with_level_embed(self, level_embed: Tensor) -> PixelFeatures:
        """The same with (L, C) added to the tokens: a token says of which level it is."""
        rows = [
            row.expand(h * w, -1)
            for row, (h, w) in zip(level_embed, self.level_shapes, strict=True)
        ]
        return replace(self, tokens=self.tokens + torch.cat(rows))


class DeformableLayer(nn.Module):
    """Deformable self-attention over all levels, then feed-forward; both post-norm."""

    def __init__(
        self,
        channels: int,
        heads: int,
        levels: int,
        points: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.heads = heads
        samples = heads * levels * points
        self.value = nn.Linear(channels, channels)
        self.projections = nn.Linear(channels, samples * 3)  # offsets in pixels, then logits
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, hidden)
        nn.init.zeros_(self.projections.weight)
        nn.init.zeros_(self.projections.bias)
        with torch.no_grad():
            self.projections.bias[: samples * 2] = offset_directions(heads, levels, points)

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        references: Tensor,
        level_shapes: LevelShapes,
        *,
        beside: Tensor | None = None,
    ) -> Tensor:
        """Attend to all levels.

        Args:
            tokens: (N, S, C); position: (S, C); references: (S, L, 2), the centres of the tokens.
            level_shapes: (h, w) of each level.
            beside: (N, S', C), tokens of the levels after those of `tokens`, only attended to.

        Returns:
            (N, S, C)
        """
        every = tokens if beside is None else torch.cat([tokens, beside], 1)
        value = self.value(every).unflatten(-1, (self.heads, -1))
        gathered = self.sample(value, level_shapes, self.projections(tokens + position), references)
        return self.feed_forward(self.norm(tokens + self.out(gathered)))

    def sample(
        self, value: Tensor, level_shapes: LevelShapes, projections: Tensor, references: Tensor
    ) -> Tensor:
        """Deformable attention; see `audio_deform_attn` for the arguments."""
        return audio_deform_attn(value, level_shapes, projections, references)


def offset_directions(heads: int, levels: int, points: int) -> Tensor:
    """(M*L*P*2,) start offsets: each head looks in its own direction, further with each point."""
    angle = torch.arange(heads) * (2 * math.pi / heads)
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    distance = torch.arange(1, points + 1).view(1, 1, points, 1)
    return (direction.view(heads, 1, 1, 2) * distance).expand(-1, levels, -1, -1).flatten()


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # a constant made while streaming must serve training too
def _centres(level_shapes: LevelShapes, device: torch.device) -> Tensor:
    """(S, L, 2) normalised (x, y) centre of every token, the same on each level."""
    centres = []
    for height, width in level_shapes:
        y = (torch.arange(height) + 0.5) / height
        x = (torch.arange(width) + 0.5) / width
        centres.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1))
    return torch.cat(centres)[:, None].repeat(1, len(level_shapes), 1).to(device)


def encode_levels(
    maps: list[Tensor], level_embed: Tensor, layers: nn.ModuleList, attending: int | None = None
) -> tuple[Tensor, LevelShapes]:
    """Run deformable layers over maps laid end to end.

    Args:
        maps: L maps (N, C, h, w), coarsest first; level_embed: (L, C); layers: `DeformableLayer`s.
        attending: levels, from the coarsest, whose tokens attend and are returned; the others are
            only attended to. None: all.

    Returns:
        tokens (N, S, C) of the attending levels, and the (h, w) of every level.
    """
    level_shapes = tuple((m.shape[-2], m.shape[-1]) for m in maps)
    every = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
    asking = level_shapes[:attending]
    count = sum(h * w for h, w in asking)
    position = torch.cat(
        [
            sine_position(h, w, every.shape[-1], every.device) + level_embed[i]
            for i, (h, w) in enumerate(asking)
        ]
    )
    references = _centres(level_shapes, every.device)[:count]
    tokens = every[:, :count]
    beside = every[:, count:] if count < every.shape[1] else None
    for layer in layers:
        tokens = layer(tokens, position, references, level_shapes, beside=beside)
    return tokens, level_shapes


def cell_positions(place: nn.Linear, like: Tensor) -> Tensor:
    """(D, H, W): where each cell of `like` is; it separates similar objects by position."""
    height, width = like.shape[-2:]
    position = sine_position(height, width, place.in_features, like.device)
    return place(position).T.unflatten(1, (height, width))


def finest_map(tokens: Tensor, level_shapes: LevelShapes) -> Tensor:
    """The last level of (N, S, C) as a map (N, C, h, w)."""
    height, width = level_shapes[-1]
    return tokens[:, -height * width :].transpose(1, 2).unflatten(2, (height, width))


class PixelDecoder(nn.Module):
    """Pyramid in, pixel features out."""

    def __init__(
        self,
        inputs: tuple[int, ...],
        channels: int,
        mask_channels: int,
        *,
        layers: int,
        heads: int,
        points: int,
        hidden: int,
    ) -> None:
        super().__init__()
        c4, *coarse = inputs
        self.project = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in reversed(coarse))
        self.level_embed = nn.Parameter(torch.randn(len(coarse), channels) * 0.02)
        self.layers = nn.ModuleList(
            DeformableLayer(channels, heads, len(coarse), points, hidden) for _ in range(layers)
        )
        self.lateral4 = nn.Conv2d(c4, mask_channels, 1)
        self.down4 = nn.Conv2d(channels, mask_channels, 1)
        self.smooth4 = ConvNorm(mask_channels, mask_channels, 3)
        self.place4 = nn.Linear(mask_channels, mask_channels)
        self.mask_features = nn.Conv2d(mask_channels, mask_channels, 1)

    def forward(self, pyramid: list[Tensor]) -> PixelFeatures:
        """Maps at strides 4, 8, 16, 32 -> features of the picture."""
        x4, *coarse = pyramid
        maps = [p(x) for p, x in zip(self.project, reversed(coarse), strict=True)]
        tokens, level_shapes = encode_levels(maps, self.level_embed, self.layers)
        stride8 = finest_map(tokens, level_shapes)
        finer = F.interpolate(
            self.down4(stride8), x4.shape[-2:], mode="bilinear", align_corners=False
        )
        stride4 = self.smooth4(F.relu(self.lateral4(x4) + finer)) + cell_positions(self.place4, x4)
        return PixelFeatures(tokens, level_shapes, stride8, stride4, self.mask_features(stride4))
