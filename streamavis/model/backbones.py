"""Which backbone a network has: built from its configuration's type."""

from __future__ import annotations

from typing import TypeAlias

from streamavis.model.backbone import NanoBackbone, NanoConfig
from streamavis.model.resnet import ResNet, ResNetConfig
from streamavis.model.swin import Swin, SwinConfig

__all__ = ["BackboneConfig", "build"]

BackboneConfig: TypeAlias = NanoConfig | ResNetConfig | SwinConfig


def build(config: BackboneConfig) -> NanoBackbone | ResNet | Swin:
    """The network that `config` describes: pictures to maps at strides 4, 8, 16 and 32."""
    if isinstance(config, ResNetConfig):
        return ResNet(config)
    if isinstance(config, SwinConfig):
        return Swin(config)
    return NanoBackbone(config)
