"""Swin Transformer (Liu et al. 2021) of any size, as AVISM uses it: a norm on each output.

N pictures, H W patches of a stage, C channels, M heads, A positions of a window. Parameter names
are those of the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Swin", "SwinConfig", "swin_large"]

_PATCH = 4  # pixels


@dataclass(frozen=True)
class SwinConfig:
    """Shape of a Swin Transformer; channels double from stage to stage."""

    embed: int  # channels of the first stage
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int = 12  # patches
    kind: str = field(default="swin", init=False, repr=False)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the maps that come out."""
        return tuple(self.embed * 2**i for i in range(len(self.depths)))


def swin_large() -> SwinConfig:
    """Swin-L."""
    return SwinConfig(192, (2, 2, 18, 2), (6, 12, 24, 48))


class _PatchEmbed(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, _PATCH, _PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) pixels -> (N, H/4, W/4, C)."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class _PatchMerging(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, ceil(H/2), ceil(W/2), 2C)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class _Mlp(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _WindowAttention(nn.Module):
    """Attention within windows, with a learned bias for each pair of relative positions."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", _relative_index(window), persistent=False)

    def forward(self, x: Tensor, apart: Tensor | None) -> Tensor:
        """(N*windows, A, C); `apart` (windows, A, A) is added to the logits."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if apart is not None:
            bias = (bias + apart[:, None]).repeat(len(x) // len(apart), 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(mixed.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(
        self, channels: int, heads: int, window: int, shift: int, drop_path: float
    ) -> None:
        super().__init__()
        self.window, self.shift, self.drop_path = window, shift, drop_path
        self.norm1 = nn.LayerNorm(channels)
        self.attn = _WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = _Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        x = x + self._dropped(self._attend(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        w = self.window
        x = F.pad(x, (0, 0, 0, -width % w, 0, -height % w))
        rows, columns = x.shape[1] // w, x.shape[2] // w
        apart = None
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
            apart = _shift_mask(x.shape[1], x.shape[2], w, self.shift, x.device)
        x = x.view(n, rows, w, columns, w, channels).transpose(2, 3).reshape(-1, w * w, channels)
        x = self.attn(x, apart).view(n, rows, columns, w, w, channels).transpose(2, 3)
        x = x.reshape(n, rows * w, columns * w, channels)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width]

    def _dropped(self, x: Tensor) -> Tensor:
        """Stochastic depth: in training, leave the branch out of some pictures."""
        if not self.training or self.drop_path == 0:
            return x
        keep = 1 - self.drop_path
        return x * (x.new_empty(len(x), 1, 1, 1).bernoulli_(keep) / keep)


class _Stage(nn.Module):
    """Blocks of one size. It has no forward: the maps before `downsample` are wanted too."""

    def __init__(
        self, channels: int, heads: int, window: int, drop_paths: list[float], *, last: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(channels, heads, window, window // 2 * (i % 2), drop)
            for i, drop in enumerate(drop_paths)
        )
        self.downsample = None if last else _PatchMerging(channels)


class Swin(nn.Module):
    """Pictures to maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: SwinConfig, drop_path: float = 0.3) -> None:
        """Build it; `drop_path` is the last block's share of dropped branches in training."""
        super().__init__()
        self.patch_embed = _PatchEmbed(config.embed)
        blocks = sum(config.depths)
        rates = [drop_path * i / max(blocks - 1, 1) for i in range(blocks)]
        self.layers = nn.ModuleList()
        for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True)):
            own, rates = rates[:depth], rates[depth:]
            last = i == len(config.depths) - 1
            self.layers.append(_Stage(config.channels[i], heads, config.window, own, last=last))
            self.add_module(f"norm{i}", nn.LayerNorm(config.channels[i]))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised, H and W multiples of 32 -> maps, finest first."""
        x = self.patch_embed(x)
        maps = []
        for i, stage in enumerate(self.layers):
            for block in cast("_Stage", stage).blocks:
                x = block(x)
            maps.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2))
            downsample = cast("_Stage", stage).downsample
            if downsample is not None:
                x = downsample(x)
        return maps


def _relative_index(window: int) -> Tensor:
    """(A, A): row of the bias table for each pair of positions."""
    place = torch.arange(window)
    grid = torch.stack(torch.meshgrid(place, place, indexing="ij")).flatten(1)  # (2, A)
    apart = grid[:, :, None] - grid[:, None] + window - 1
    return apart[0] * (2 * window - 1) + apart[1]


def _shift_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """(windows, A, A): -100 between positions that only the roll brought together."""

    def region(size: int) -> Tensor:
        place = torch.arange(size, device=device)
        return (place >= size - window).long() + (place >= size - shift).long()

    regions = region(height)[:, None] * 3 + region(width)
    windows = regions.view(height // window, window, width // window, window)
    flat = windows.transpose(1, 2).reshape(-1, window * window)
    return (flat[:, :, None] != flat[:, None]).float() * -100.0
