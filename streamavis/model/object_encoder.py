"""Object encoder (the causal tracker): a frame's objects placed in time and sound.

B streams, T frames, Q object tokens a frame, C channels, A audio channels. Every layer attends to
the sinks, the remembered frames and the frame itself, never later.
"""

from __future__ import annotations

from torch import Tensor, nn

from streamavis.layers import FeedForward
from streamavis.model.memory import MemoryAttention, MemoryPlan, MemoryRules, Ring

__all__ = ["MemoryLayer", "ObjectEncoder"]


class MemoryLayer(nn.Module):
    """Attention into memory, then feed-forward; both post-norm."""

    def __init__(self, channels: int, heads: int, hidden: int, rules: MemoryRules) -> None:
        super().__init__()
        self.memory = MemoryAttention(channels, heads, rules)
        self.norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, hidden)

    def forward(self, x: Tensor, tokens: Tensor, plan: MemoryPlan, ring: Ring) -> Tensor:
        """Let each frame's rows attend to memory, and remember the frames the plan says.

        Args:
            x: (B, T, R, C), R rows a frame; tokens: (B, T, N, C), what is attended to and kept.
            plan: of this clip; ring: this layer's past, advanced in place.

        Returns:
            (B, T, R, C)
        """
        keys, values = self.memory.keys_values(tokens, tokens)
        bias = self.memory.bias(plan.ages, tokens.shape[2]).repeat_interleave(x.shape[2], 2)
        seen = self.memory.attend(x.flatten(1, 2), ring, keys, values, bias)
        plan.store(ring, keys, values)
        return self.feed_forward(self.norm(x + seen.view_as(x)))


class ObjectEncoder(nn.Module):
    """Object layers, then audio layers (VL-AVFM with one audio token per frame), if any."""

    def __init__(
        self,
        channels: int,
        audio_channels: int,
        *,
        layers: int,
        audio_layers: int,
        heads: int,
        hidden: int,
        rules: MemoryRules,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(channels, channels)
        self.audio = nn.Linear(audio_channels, channels) if audio_layers else None
        self.layers = nn.ModuleList(
            MemoryLayer(channels, heads, hidden, rules) for _ in range(layers)
        )
        self.audio_layers = nn.ModuleList(
            MemoryLayer(channels, heads, hidden, rules) for _ in range(audio_layers)
        )

    def forward(
        self, frame_queries: Tensor, audio: Tensor, plan: MemoryPlan, rings: list[Ring]
    ) -> Tensor:
        """Place objects in time and sound.

        Args:
            frame_queries: (B, T, Q, C); audio: (B, T, A), one token per frame.
            plan: of this clip; rings: one per layer and audio layer, advanced in place.

        Returns:
            object_tokens (B, T, Q, C)
        """
        x = self.project(frame_queries)
        for layer, ring in zip(self.layers, rings[: len(self.layers)], strict=True):
            x = layer(x, x, plan, ring)
        if self.audio is None:
            return x
        heard = self.audio(audio)[:, :, None]  # (B, T, 1, C)
        for layer, ring in zip(self.audio_layers, rings[len(self.layers) :], strict=True):
            heard = layer(heard, x, plan, ring)
        return x + heard
