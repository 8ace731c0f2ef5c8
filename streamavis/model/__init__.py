"""The networks. Modules hold weights; a stream's past is a typed state passed to `step`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamavis.model.avism import (
        AVISM,
        AVISMConfig,
        AVISMOutput,
        avism_r50,
        avism_r101,
        avism_swin_l,
    )
    from streamavis.model.presets import nano, nano_drawn, r50, swin_l
    from streamavis.model.state import ModelState
    from streamavis.model.streamavis import ClipOutput, StepOutput, StreamAVIS, StreamAVISConfig

__all__ = [
    "AVISM",
    "AVISMConfig",
    "AVISMOutput",
    "ClipOutput",
    "ModelState",
    "StepOutput",
    "StreamAVIS",
    "StreamAVISConfig",
    "avism_r50",
    "avism_r101",
    "avism_swin_l",
    "nano",
    "nano_drawn",
    "r50",
    "swin_l",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that the audio encoder can share `model.layers` without a circle.
    if name not in __all__:
        raise AttributeError(f"module 'streamavis.model' has no attribute {name!r}")
    from streamavis.model import avism, presets, state, streamavis

    homes = (streamavis, state, avism, presets)
    home = next(module for module in homes if name in module.__all__)
    return getattr(home, name)
