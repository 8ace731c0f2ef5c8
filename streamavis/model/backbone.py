"""Backbones: pictures to a pyramid of features at strides 4, 8, 16 and 32."""

from __future__ import annotations

from dataclasses import dataclass

from streamavis_kernels import frame_prep
from torch import Tensor, nn

from streamavis.layers import ConvNorm, ResidualBlock

__all__ = ["PIXEL_MEAN", "PIXEL_STD", "STRIDE", "NanoBackbone", "NanoConfig", "normalise"]

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
STRIDE = 32  # pictures are padded to a multiple of it


def normalise(frames: Tensor) -> Tensor:
    """Make uint8 RGB frames the network's input.

    Args:
        frames: (N, 3, H, W) uint8.

    Returns:
        (N, 3, H', W') float32, zero mean and unit spread per channel, then padded with zeros at
        the right and bottom to multiples of 32.
    """
    height, width = frames.shape[-2:]
    return frame_prep(
        frames.permute(0, 2, 3, 1),
        (height, width),
        padded=(height + -height % STRIDE, width + -width % STRIDE),
        mean=PIXEL_MEAN,
        std=PIXEL_STD,
        channels_last=True,
    )


@dataclass(frozen=True)
class NanoConfig:
    """Channels of the light backbone's maps at strides 4, 8, 16, 32."""

    channels: tuple[int, int, int, int] = (40, 80, 112, 144)


class NanoBackbone(nn.Module):
    """A light residual network for CPUs: about 1 M parameters, 0.5 GMAC at 192x352."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        c4, c8, c16, c32 = config.channels
        self.stem = ConvNorm(3, 24, 3, 2)
        self.stage4 = ResidualBlock(24, c4, 2)
        self.stage8 = nn.Sequential(ResidualBlock(c4, c8, 2), ResidualBlock(c8, c8))
        self.stage16 = nn.Sequential(ResidualBlock(c8, c16, 2), ResidualBlock(c16, c16))
        self.stage32 = ResidualBlock(c16, c32, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised -> maps at strides 4, 8, 16, 32."""
        x4 = self.stage4(self.stem(x))
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        return [x4, x8, x16, self.stage32(x16)]
