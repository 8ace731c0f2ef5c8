"""Object decoder of the offline network: video queries look at every object of every frame.

B clips, T frames, Q object tokens a frame, V video queries, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamavis.model.frame_decoder import FrameDecoderLayer

__all__ = ["ObjectDecoder"]


class ObjectDecoder(nn.Module):
    """Learned queries, one for each object of the clip."""

    def __init__(
        self,
        channels: int,
        *,
        video_queries: int,
        frame_queries: int,
        layers: int,
        heads: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.query_feat = nn.Parameter(torch.randn(video_queries, channels))
        self.query_embed = nn.Parameter(torch.randn(video_queries, channels))
        # Which of a frame's queries a token came from; time has no position.
        self.token_position = nn.Parameter(torch.randn(frame_queries, channels))
        self.layers = nn.ModuleList(
            FrameDecoderLayer(channels, heads, hidden) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, object_tokens: Tensor) -> list[Tensor]:
        """(B, T, Q, C) -> video queries (B, V, C) after each layer, normalised."""
        key = (object_tokens + self.token_position).flatten(1, 2)
        value = object_tokens.flatten(1, 2)
        x = self.query_feat.expand(len(object_tokens), -1, -1)
        states = []
        for layer in self.layers:
            x = layer(x, self.query_embed, key, value)
            states.append(self.norm(x))
        return states
