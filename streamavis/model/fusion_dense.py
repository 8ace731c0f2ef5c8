"""Sound into the frame's queries by whole cross-attentions, as AVISM and ACVIS do it.

N frames, Q queries, C channels, L levels. Same interface as `DeformableFusion`, except that `audio`
is as the listener gives it, not yet projected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from streamavis.layers import Attention

if TYPE_CHECKING:
    from streamavis.model.pixel_decoder import PixelFeatures

__all__ = ["AudioCentricFusion", "DenseFusion"]


class DenseFusion(nn.Module):
    """AVISM's FL-AVFM: sound asks, each level of the picture answers."""

    def __init__(self, channels: int, audio_channels: int, heads: int, levels: int) -> None:
        super().__init__()
        self.audio = nn.Linear(audio_channels, channels)
        self.attention = nn.ModuleList(Attention(channels, heads) for _ in range(levels))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(levels))
        self.merge = nn.Linear(levels * channels, channels)

    def forward(
        self, queries: Tensor, position: Tensor, audio: Tensor, features: PixelFeatures
    ) -> Tensor:
        """(Q, C) queries and positions, (N, A) sound -> audio-conditioned queries (N, Q, C)."""
        heard = self.audio(audio)[:, None]  # (N, 1, C)
        asked = heard + position
        answers = []
        for i, (attention, norm) in enumerate(zip(self.attention, self.norms, strict=True)):
            seen = features.level(i)
            answers.append(norm(heard + attention(asked, seen, seen)))
        return queries + self.merge(torch.cat(answers, -1))


class AudioCentricFusion(nn.Module):
    """ACVIS's audio-centric query generator: the queries ask, the sound answers.

    There is one audio token per frame, so that each layer adds one vector to all queries.
    """

    def __init__(self, channels: int, audio_channels: int, heads: int, layers: int) -> None:
        super().__init__()
        self.audio = nn.Linear(audio_channels, channels)
        self.attention = nn.ModuleList(Attention(channels, heads) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(layers))

    def forward(
        self, queries: Tensor, position: Tensor, audio: Tensor, features: PixelFeatures
    ) -> Tensor:
        """As `DenseFusion`; the picture (`features`) has no say in it."""
        heard = self.audio(audio)[:, None]
        x = queries.expand(len(audio), -1, -1)
        for attention, norm in zip(self.attention, self.norms, strict=True):
            x = norm(x + attention(x + position, heard, heard))
        return x
