"""Video decoder: slots carried from frame to frame, one object each.

B streams, T frames, V slots, Q object tokens a frame, C channels, K classes.
Slots step at every frame, not once per remembered frame: only so can one tell which of two
objects of a class moves when the sound is heard.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from streamavis.layers import Attention, FeedForward
from streamavis.model.memory import MemoryAttention, MemoryPlan, MemoryRules, Ring

__all__ = ["SlotCarry", "SlotStart", "VideoDecoder", "VideoDecoderLayer"]

# What a frame's slots start from: the previous ones through the gate, the previous ones as they
# are, or the learned queries.
SlotStart = Literal["gate", "previous", "learned"]

_GAP_RANGE_S = (1e-3, 1e2)


class SlotCarry(nn.Module):
    """How much of the previous slot goes on: a learned gate that sees how long ago it was.

    `carry` scales the whole: zero makes every frame start from the learned queries, as AVISM does.
    """

    def __init__(self, channels: int, carry: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), carry))
        self.gate = nn.Linear(2 * channels, channels)
        self.log_gap = nn.Parameter(torch.zeros(channels))

    def forward(self, base: Tensor, previous: Tensor, gap_s: Tensor) -> Tensor:
        """(B, V, C) learned queries and previous slots -> (B, V, C) slots to start from.

        Args:
            base, previous: see above; gap_s: (B,) float64 seconds since `previous`.
        """
        log_gap = gap_s.clamp(*_GAP_RANGE_S).log().to(base.dtype)[:, None, None]
        gate = self.gate(torch.cat([base, previous], -1)) + self.log_gap * log_gap
        return base + self.scale * gate.sigmoid() * (previous - base)


class VideoDecoderLayer(nn.Module):
    """Cross-attention to remembered object tokens, self-attention, feed-forward."""

    def __init__(self, channels: int, heads: int, hidden: int, rules: MemoryRules) -> None:
        super().__init__()
        self.cross = MemoryAttention(channels, heads, rules)
        self.cross_norm = nn.LayerNorm(channels)
        self.self_attention = Attention(channels, heads)
        self.self_norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, hidden)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        ring: Ring,
        keys: Tensor,
        values: Tensor,
        bias: Tensor,
    ) -> Tensor:
        """(B, V, C) slots of one frame -> (B, V, C); the rest as `MemoryAttention.attend`."""
        x = self.cross_norm(x + self.cross.attend(x + position, ring, keys, values, bias))
        query = x + position
        x = self.self_norm(x + self.self_attention(query, query, x))
        return self.feed_forward(x)


class VideoDecoder(nn.Module):
    """The slot recurrence."""

    def __init__(
        self,
        channels: int,
        *,
        slots: int,
        frame_queries: int,
        layers: int,
        heads: int,
        hidden: int,
        rules: MemoryRules,
        start: SlotStart,
        carry: float,
    ) -> None:
        super().__init__()
        self.start: SlotStart = start
        self.query_feat = nn.Parameter(torch.randn(slots, channels) * 0.5)
        self.query_embed = nn.Parameter(torch.randn(slots, channels) * 0.5)
        self.token_position = nn.Parameter(torch.randn(frame_queries, channels) * 0.02)
        self.carry = SlotCarry(channels, carry) if start == "gate" else None
        self.layers = nn.ModuleList(
            VideoDecoderLayer(channels, heads, hidden, rules) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(
        self, object_tokens: Tensor, plan: MemoryPlan, rings: list[Ring], slots: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Step the slots through a clip.

        Args:
            object_tokens: (B, T, Q, C); plan: of this clip.
            rings: one per layer, advanced in place; slots: (B, V, C) carried in, not changed.

        Returns:
            video_queries (B, T, V, C), normalised; slots (B, V, C) after the last active frame.
        """
        blocks = cast("list[VideoDecoderLayer]", list(self.layers))
        memories = [
            (
                layer,
                ring,
                *layer.cross.keys_values(object_tokens + self.token_position, object_tokens),
                layer.cross.bias(plan.ages, object_tokens.shape[2]),
            )
            for layer, ring in zip(blocks, rings, strict=True)
        ]
        queries = []
        for t in range(object_tokens.shape[1]):
            x = self._first(slots, plan.gap_s[:, t], plan.fresh[:, t])
            for layer, ring, keys, values, bias in memories:
                x = layer(x, self.query_embed, ring, keys, values, bias[:, :, t : t + 1])
            slots = torch.where(plan.active[:, t, None, None], x, slots)
            queries.append(self.norm(x))
        for _, ring, keys, values, _ in memories:
            plan.store(ring, keys, values)
        return torch.stack(queries, 1), slots

    def _first(self, slots: Tensor, gap_s: Tensor, fresh: Tensor) -> Tensor:
        """(B, V, C) slots that a frame starts from.

        Args:
            slots: (B, V, C), the previous frame's; gap_s: (B,), seconds since.
            fresh: (B,) bool, True where there was none.
        """
        base = self.query_feat.expand_as(slots)
        if self.start == "learned":
            return base
        carried = slots if self.carry is None else self.carry(base, slots, gap_s)
        return torch.where(fresh[:, None, None], base, carried)
