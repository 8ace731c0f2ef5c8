"""Which backbone a network has: built from its configuration's type."""

from __future__ import annotations

from typing import TypeAlias

from streamavis.model.backbone import NanoBackbone, NanoConfig
from streamavis.model.efficientnet import EfficientNetLite, EfficientNetLiteConfig
from streamavis.model.resnet import ResNet, ResNetConfig
from streamavis.model.swin import Swin, SwinConfig

__all__ = ["BackboneConfig", "build"]

BackboneConfig: TypeAlias = NanoConfig | ResNetConfig | SwinConfig | EfficientNetLiteConfig


def build(config: BackboneConfig) -> NanoBackbone | ResNet | Swin | EfficientNetLite:
    """The network that `config` describes: pictures to maps at strides 4, 8, 16 and 32."""
    if isinstance(config, ResNetConfig):
        return ResNet(config)
    if isinstance(config, SwinConfig):
        return Swin(config)
    if isinstance(config, EfficientNetLiteConfig):
        return EfficientNetLite(config)
    return NanoBackbone(config)
