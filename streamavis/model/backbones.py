"""Backbones: pictures to a pyramid of features at strides 4, 8, 16 and 32.

A configuration says of which kind it is, in its field `kind`, and so does a weights file. `KINDS`
lists all kinds; `build` serves every network. docs/EXTENDING.md shows how to add one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from streamavis_kernels import frame_prep

from streamavis.model.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from streamavis.model.light_backbone import NanoBackbone, NanoConfig
from streamavis.model.resnet import ResNet, ResNetConfig
from streamavis.model.swin import Swin, SwinConfig
from streamavis.model.timm_backbone import TimmBackbone, TimmConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = [
    "KINDS",
    "PIXEL_MEAN",
    "PIXEL_STD",
    "STRIDE",
    "BackboneConfig",
    "BackboneKind",
    "build",
    "normalise",
]

PIXEL_MEAN: Final = (123.675, 116.28, 103.53)
PIXEL_STD: Final = (58.395, 57.12, 57.375)
STRIDE: Final = 32  # pictures are padded to a multiple of it

BackboneConfig: TypeAlias = (
    NanoConfig | EfficientNetLiteConfig | ResNetConfig | SwinConfig | TimmConfig
)


class BackboneKind(NamedTuple):
    """One kind of backbone.

    `config` is a frozen dataclass with the fields `kind` and `channels`, of the maps at strides 4,
    8, 16 and 32. `build` makes a module of it: (N, 3, H, W) normalised pictures, H and W multiples
    of 32, to the list of these maps.
    """

    config: type[Any]
    build: Callable[[Any], nn.Module]


KINDS: Final[dict[str, BackboneKind]] = {
    "nano": BackboneKind(NanoConfig, NanoBackbone),
    "efficientnet-lite0": BackboneKind(EfficientNetLiteConfig, EfficientNetLite),
    "resnet": BackboneKind(ResNetConfig, ResNet),
    "swin": BackboneKind(SwinConfig, Swin),
    "timm": BackboneKind(TimmConfig, TimmBackbone),
}


def build(config: BackboneConfig) -> nn.Module:
    """The backbone that `config` describes.

    Raises:
        MissingExtraError: it needs a package that is not installed.
        ArgumentError: it describes no backbone.
    """
    return KINDS[config.kind].build(config)


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
