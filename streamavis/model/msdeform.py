"""Mask2Former's pixel decoder, as AVISM has it: group norms, no position on the mask features.

N pictures, C channels. Deformable layers and their order of levels are those of `pixel_decoder`.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamavis.layers import ConvNorm
from streamavis.model.pixel_decoder import (
    DeformableLayer,
    PixelFeatures,
    encode_levels,
    finest_map,
)

__all__ = ["MSDeformPixelDecoder"]

_group_norm = functools.partial(nn.GroupNorm, 32)


class MSDeformPixelDecoder(nn.Module):
    """Pyramid in, pixel features out."""

    def __init__(
        self,
        inputs: tuple[int, ...],
        channels: int,
        *,
        layers: int,
        heads: int,
        points: int,
        hidden: int,
    ) -> None:
        super().__init__()
        c4, *coarse = inputs
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1), _group_norm(channels))
            for c in reversed(coarse)
        )
        self.level_embed = nn.Parameter(torch.randn(len(coarse), channels))
        self.layers = nn.ModuleList(
            DeformableLayer(channels, heads, len(coarse), points, hidden) for _ in range(layers)
        )
        self.lateral4 = ConvNorm(c4, channels, 1, act=False, norm=_group_norm)
        self.smooth4 = ConvNorm(channels, channels, 3, norm=_group_norm)
        self.mask_features = nn.Conv2d(channels, channels, 1)

    def forward(self, pyramid: list[Tensor]) -> PixelFeatures:
        """Maps at strides 4, 8, 16, 32 -> features of the picture."""
        x4, *coarse = pyramid
        maps = [p(x) for p, x in zip(self.project, reversed(coarse), strict=True)]
        tokens, level_shapes = encode_levels(maps, self.level_embed, self.layers)
        stride8 = finest_map(tokens, level_shapes)
        finer = F.interpolate(stride8, x4.shape[-2:], mode="bilinear", align_corners=False)
        stride4 = self.smooth4(self.lateral4(x4) + finer)
        return PixelFeatures(tokens, level_shapes, stride8, stride4, self.mask_features(stride4))
