"""Shapes of the offline network, and the ones that were published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamavis.model.resnet import ResNetConfig, resnet50, resnet101
from streamavis.model.swin import SwinConfig, swin_large

if TYPE_CHECKING:
    from streamavis.model.localizer import FrameFusion

__all__ = ["AVISEG_CLASSES", "AVISMConfig", "avism_r50", "avism_r101", "avism_swin_l"]

AVISEG_CLASSES = (
    *("person", "violin", "guitar", "cello", "flute", "piano", "ukulele", "accordion", "guzheng"),
    *("clarinet", "cat", "car", "saxophone", "dog", "lawn_mover", "tuba", "banjo", "pipa"),
    *("bassoon", "airplane", "tree_harvester", "trumpet", "lion", "bass", "erhu", "horse"),
)


@dataclass(frozen=True)
class AVISMConfig:
    """Shape of an AVISM network; the defaults are the paper's with ResNet-50."""

    classes: tuple[str, ...] = AVISEG_CLASSES
    backbone: ResNetConfig | SwinConfig = field(default_factory=resnet50)
    short_side: int = 360  # pixels, of the frames the network is given
    channels: int = 256
    audio_channels: int = 128
    heads: int = 8
    hidden: int = 2048  # width of the feed-forward blocks
    pixel_layers: int = 6
    pixel_hidden: int = 1024  # the same in the pixel decoder
    points: int = 4  # sampled per head and level
    frame_queries: int = 100
    frame_layers: int = 9
    frame_fusion: FrameFusion = "dense"  # "none" and `video_fusion` off: VITA-like (Table 4)
    count_levels: int = 0  # ACVIS: 2 tell 0, 1, more sounding objects apart; 0 = no count token
    object_layers: int = 6
    window: int = 6  # frames (Table 5: 3, 6, 12)
    video_fusion: bool = True
    video_queries: int = 100
    video_layers: int = 3


def avism_r50(classes: tuple[str, ...] = AVISEG_CLASSES) -> AVISMConfig:
    """AVISM with ResNet-50."""
    return AVISMConfig(classes)


def avism_r101(classes: tuple[str, ...] = AVISEG_CLASSES) -> AVISMConfig:
    """AVISM with ResNet-101."""
    return AVISMConfig(classes, backbone=resnet101())


def avism_swin_l(classes: tuple[str, ...] = AVISEG_CLASSES) -> AVISMConfig:
    """AVISM with Swin-L: 200 frame queries, larger frames."""
    return AVISMConfig(classes, backbone=swin_large(), short_side=448, frame_queries=200)
