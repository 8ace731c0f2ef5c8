"""The light backbone, which is trained from random weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from streamavis.layers import ConvNorm, ResidualBlock

__all__ = ["NanoBackbone", "NanoConfig"]


@dataclass(frozen=True)
class NanoConfig:
    """Channels of the light backbone's maps at strides 4, 8, 16, 32."""

    channels: tuple[int, int, int, int] = (40, 80, 112, 144)
    kind: str = field(default="nano", init=False, repr=False)


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
