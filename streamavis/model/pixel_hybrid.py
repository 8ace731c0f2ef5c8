"""Hybrid pixel decoder: deformable attention where it is cheap, convolutions on the finer maps.

N pictures, S flattened positions, C channels, D mask channels. Strides 32 and 16 attend to all
levels (Deformable DETR); strides 8 and 4 are refined by ConvNeXt blocks on the way down, as in
RT-DETR's hybrid encoder. At 192x352 that is a third of the arithmetic of attention on all levels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamavis.model.pixel_decoder import (
    DeformableLayer,
    PixelFeatures,
    cell_positions,
    encode_levels,
    finest_map,
)

__all__ = ["HybridPixelDecoder"]

_EXPANSION = 2


class _ConvBlock(nn.Module):
    """Depthwise 3x3, layer norm, widen, narrow, around a shortcut (ConvNeXt, section 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, channels * _EXPANSION)
        self.narrow = nn.Linear(channels * _EXPANSION, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        rows = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(self.widen(rows).relu_()).permute(0, 3, 1, 2)


class _Projection(nn.Module):
    """1x1 convolution to the decoder's width, then layer norm: a backbone's scale is its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, outputs, 1)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H, W)."""
        return self.norm(self.project(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class HybridPixelDecoder(nn.Module):
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
        self.project = nn.ModuleList(_Projection(c, channels) for c in reversed(coarse))
        self.level_embed = nn.Parameter(torch.randn(len(coarse), channels) * 0.02)
        self.layers = nn.ModuleList(
            DeformableLayer(channels, heads, len(coarse), points, hidden) for _ in range(layers)
        )
        self.refine8 = _ConvBlock(channels)
        self.lateral4 = _Projection(c4, mask_channels)
        self.down4 = nn.Conv2d(channels, mask_channels, 1)
        self.place4 = nn.Linear(mask_channels, mask_channels)
        self.refine4 = _ConvBlock(mask_channels)
        self.mask_features = nn.Conv2d(mask_channels, mask_channels, 1)

    def forward(self, pyramid: list[Tensor]) -> PixelFeatures:
        """Maps at strides 4, 8, 16, 32 -> features of the picture."""
        x4, *coarse = pyramid
        maps = [p(x) for p, x in zip(self.project, reversed(coarse), strict=True)]
        encoded, shapes = encode_levels(maps, self.level_embed, self.layers, attending=2)
        stride16 = finest_map(encoded, shapes[:-1])
        stride8 = self.refine8(maps[-1] + _resized(stride16, maps[-1]))
        finer = _resized(self.down4(stride8), x4)
        stride4 = self.refine4(self.lateral4(x4) + finer + cell_positions(self.place4, x4))
        tokens = torch.cat([encoded, stride8.flatten(2).transpose(1, 2)], 1)
        return PixelFeatures(tokens, shapes, stride8, stride4, self.mask_features(stride4))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)
