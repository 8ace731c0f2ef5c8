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
    "ClassHead",
    "ConvNorm",
    "FeedForward",
    "ResidualBlock",
    "classify",
    "mask_pool",
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


_SHARPNESS, _LOGIT_RANGE = 2.0, 8.0


def mask_pool(mask_logits: Tensor, features: Tensor) -> Tensor:
    """Mean of a map under each soft mask, which takes no gradient.

    Args:
        mask_logits: (N, V, H, W); features: (N, C, H, W).

    Returns:
        (N, V, C)
    """
    logits = mask_logits.detach().clamp(-_LOGIT_RANGE, _LOGIT_RANGE)
    weight = (logits * _SHARPNESS).sigmoid().flatten(2)
    weight = weight / (weight.sum(-1, keepdim=True) + 1e-3)
    return weight @ features.flatten(2).transpose(1, 2)


class ClassHead(nn.Module):
    """What an object is, from its query and from what lies under its mask.

    The second is not in AVISM; a small network learns classes from it far sooner.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.look = nn.Linear(channels, channels)
        self.classify = nn.Linear(channels, classes + 1)

    def forward(self, queries: Tensor, mask_logits: Tensor, stride8: Tensor) -> Tensor:
        """(N, Q, C), (N, Q, H4, W4), (N, C, H8, W8) -> (N, Q, K+1)."""
        under = mask_pool(F.avg_pool2d(mask_logits.detach(), 2), stride8)
        return self.classify(queries + self.look(under))


def classify(head: nn.Module, queries: Tensor, mask_logits: Tensor, stride8: Tensor) -> Tensor:
    """(N, Q, K+1) of a `ClassHead`, or of a linear head, which sees the queries alone (AVISM)."""
    if isinstance(head, ClassHead):
        return head(queries, mask_logits, stride8)
    return head(queries)
