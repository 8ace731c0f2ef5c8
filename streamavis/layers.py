"""Layers every network here is built from. B batch, N tokens, C channels, M heads, H W pixels."""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MLP",
    "Attention",
    "ConvNorm",
    "FeedForward",
    "ResidualBlock",
    "sine_of_points",
    "sine_position",
]


class ConvNorm(nn.Sequential):
    """Convolution, `norm` of its channels and ReLU (left out where `act` is False)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        act: bool = True,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            norm(outputs),
            nn.ReLU(inplace=True) if act else nn.Identity(),
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (ResNet's basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, 3, stride)
        self.conv2 = ConvNorm(outputs, outputs, 3, act=False)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, 1, stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class MLP(nn.Module):
    """`layers` linear layers with ReLU between."""

    def __init__(self, inputs: int, hidden: int, outputs: int, layers: int) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu_()
        return self.layers[-1](x)


class FeedForward(nn.Module):
    """Post-norm feed-forward block."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = MLP(channels, hidden, channels, 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.mlp(x))


class Attention(nn.Module):
    """Multi-head attention whose keys and values are made apart, so that a ring can keep them."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """Attend to projected keys and values.

        Args:
            query: (B, N, C), not yet projected.
            keys, values: (B, N', C), projected by `self.key` and `self.value`.
            bias: broadcastable to (B, M, N, N'): added to the logits, or bool where True is seen.

        Returns:
            (B, N, C)
        """
        split = functools.partial(_split_heads, heads=self.heads)
        mixed = F.scaled_dot_product_attention(
            split(self.query(query)), split(keys), split(values), attn_mask=bias
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        return self.attend(query, self.key(key), self.value(value), bias)


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, M, N, C/M)


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # a constant made while streaming must serve training too
def sine_position(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """(H*W, C) sine position of a map: half the channels for y, half for x (DETR, section A.4)."""

    def share(size: int) -> Tensor:
        return (torch.arange(size, dtype=torch.float32) + 1) / (size + 1e-6)

    x, y = torch.meshgrid(share(width), share(height), indexing="xy")
    return sine_of_points(torch.stack([x, y], -1).flatten(0, 1), channels).to(device)


def sine_of_points(points: Tensor, channels: int) -> Tensor:
    """(N, 2) normalised (x, y) -> (N, C), the code `sine_position` gives a map's cell there."""
    pairs = channels // 4
    scale = 10_000 ** (torch.arange(pairs, device=points.device) / pairs)
    angle = points.flip(-1)[..., None] * (2 * math.pi) / scale  # (N, 2, C/4), y first
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
