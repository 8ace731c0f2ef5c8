"""Sound into the frame's queries by deformable sampling: the streaming kind of fusion.

N frames, Q queries, C channels, A audio channels, M heads, L levels, P points. Same interface as
`DenseFusion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from streamavis_kernels import audio_deform_attn
from torch import Tensor, nn

from streamavis.model.pixel_decoder import offset_directions

if TYPE_CHECKING:
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["DeformableFusion"]


class DeformableFusion(nn.Module):
    """Sound steers where the queries look: sampling offsets, weights and gate come from it.

    The streaming form of AVISM's FL-AVFM: each query gathers P points per level around a learned
    reference point, so the cost is O(Q L P) and not O(Q H W).
    """

    def __init__(
        self,
        channels: int,
        audio_channels: int,
        heads: int,
        levels: int,
        *,
        points: int,
        queries: int,
    ) -> None:
        super().__init__()
        self.heads = heads
        samples = heads * levels * points
        self.reference = nn.Parameter(_spread(queries).logit())
        self.audio = nn.Linear(audio_channels, channels)
        self.value = nn.Linear(channels, channels)
        self.projections = nn.Linear(channels, samples * 3)
        self.bias = nn.Linear(audio_channels, samples)
        self.gate = nn.Linear(audio_channels, channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        nn.init.normal_(self.projections.weight, std=0.01)
        nn.init.zeros_(self.projections.bias)
        with torch.no_grad():
            self.projections.bias[: samples * 2] = offset_directions(heads, levels, points)
        for layer in (self.bias, self.gate):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def points(self) -> Tensor:
        """(Q, 2) normalised (x, y): where each query looks around."""
        return self.reference.sigmoid()

    def forward(
        self, queries: Tensor, position: Tensor, audio: Tensor, features: PixelFeatures
    ) -> Tensor:
        """(Q, C) queries and positions, (N, A) sound -> audio-conditioned queries (N, Q, C)."""
        value = self.value(features.tokens).unflatten(-1, (self.heads, -1))
        levels = len(features.level_shapes)
        references = self.points[:, None].expand(-1, levels, -1)
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


def _spread(count: int) -> Tensor:
    """(count, 2) points over the picture, (x, y) in (0, 1): the R2 low-discrepancy sequence."""
    steps = torch.arange(1, count + 1, dtype=torch.float64)[:, None]
    ratios = torch.tensor([0.7548776662466927, 0.5698402909980532], dtype=torch.float64)
    return (0.5 + steps * ratios).frac().clamp(0.02, 0.98).float()
