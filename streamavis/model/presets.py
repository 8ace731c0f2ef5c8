"""StreamAVIS networks by name: functions that return a configuration to use or to change.

`dataclasses.replace(r50(), sinks=0)` is the same network without sinks, and so on.
"""

from __future__ import annotations

from dataclasses import replace

from streamavis.model.avism import AVISEG_CLASSES
from streamavis.model.efficientnet import EfficientNetLiteConfig
from streamavis.model.resnet import resnet50
from streamavis.model.streamavis import StreamAVISConfig
from streamavis.model.swin import swin_large

__all__ = ["nano", "nano_drawn", "r50", "swin_l"]


def nano(classes: tuple[str, ...]) -> StreamAVISConfig:
    """The small network for CPUs and small boards: short side 192, about 6 M parameters.

    Its backbone is meant to start from ImageNet weights (`streamavis_training.imagenet`).
    """
    return StreamAVISConfig(
        classes=classes,
        backbone=EfficientNetLiteConfig(),
        pixel_decoder="hybrid",
        audio_widths=(24, 64, 128, 192),
    )


def nano_drawn(classes: tuple[str, ...]) -> StreamAVISConfig:
    """`nano` with a light backbone that learns from nothing: for the procedural world."""
    return StreamAVISConfig(classes=classes)


def r50(classes: tuple[str, ...] = AVISEG_CLASSES) -> StreamAVISConfig:
    """AVISM's dimensions with ResNet-50; its slots start training as AVISM's queries do."""
    return StreamAVISConfig(
        classes=classes,
        backbone=resnet50(),
        pixel_decoder="msdeform",
        short_side=360,
        channels=256,
        mask_channels=256,
        identity_channels=128,
        hidden=2048,
        pixel_hidden=1024,
        frame_queries=100,
        slots=100,
        pixel_layers=6,
        frame_layers=9,
        object_layers=6,
        audio_layers=6,
        look=False,
        carry=0.0,
    )


def swin_l(classes: tuple[str, ...] = AVISEG_CLASSES) -> StreamAVISConfig:
    """The same with Swin-L: 200 frame queries, larger frames."""
    return replace(r50(classes), backbone=swin_large(), short_side=448, frame_queries=200)
