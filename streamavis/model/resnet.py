"""ResNet-50 and its kin (He et al. 2016) with frozen batch norms; strides as torchvision has them.

N pictures, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamavis.layers import ConvNorm

__all__ = [
    "Bottleneck",
    "FoldedConv",
    "FrozenBatchNorm",
    "ResNet",
    "ResNetConfig",
    "resnet50",
    "resnet101",
]

_EPSILON = 1e-5


@dataclass(frozen=True)
class ResNetConfig:
    """Bottleneck blocks per stage, strides 4, 8, 16, 32."""

    blocks: tuple[int, ...]
    kind: str = field(default="resnet", init=False, repr=False)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the maps that come out."""
        return tuple(256 * 2**i for i in range(len(self.blocks)))


def resnet50() -> ResNetConfig:
    """ResNet-50."""
    return ResNetConfig((3, 4, 6, 3))


def resnet101() -> ResNetConfig:
    """ResNet-101."""
    return ResNetConfig((3, 4, 23, 3))


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics and affine part came with the weights and never change."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def affine(self) -> tuple[Tensor, Tensor]:
        """(C,) scale and (C,) shift, which is all that is left of it."""
        scale = self.weight * (self.running_var + _EPSILON).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=_EPSILON
        )


class FoldedConv(ConvNorm):
    """Convolution and frozen norm in one pass: the norm's scale is multiplied into the weights."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, act: bool = True
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, act=act, norm=FrozenBatchNorm)

    def forward(self, x: Tensor) -> Tensor:
        conv, norm, act = cast("tuple[nn.Conv2d, FrozenBatchNorm, nn.Module]", tuple(self))
        scale, shift = norm.affine()
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        return act(F.conv2d(x, weight, shift, conv.stride, conv.kernel_size[0] // 2))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        width = outputs // 4
        self.conv1 = FoldedConv(inputs, width, 1)
        self.conv2 = FoldedConv(width, width, 3, stride)
        self.conv3 = FoldedConv(width, outputs, 1, act=False)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else FoldedConv(inputs, outputs, 1, stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x))).add_(self.shortcut(x)).relu_()


class ResNet(nn.Module):
    """Pictures to maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.stem = FoldedConv(3, 64, 7, 2)
        self.stages = nn.ModuleList()
        inputs = 64
        for stage, (count, outputs) in enumerate(zip(config.blocks, config.channels, strict=True)):
            first = Bottleneck(inputs, outputs, stride=1 if stage == 0 else 2)
            rest = [Bottleneck(outputs, outputs, stride=1) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised, H and W multiples of 32 -> maps, finest first."""
        x = F.max_pool2d(self.stem(x), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
