"""The networks. Modules hold weights; a stream's past is a typed state passed to `step`."""

from streamavis.model.avism import (
    AVISM,
    AVISMConfig,
    AVISMOutput,
    avism_r50,
    avism_r101,
    avism_swin_l,
)
from streamavis.model.outputs import ClipOutput, StepOutput
from streamavis.model.presets import nano, nano_drawn, r50, swin_l
from streamavis.model.state import ModelState
from streamavis.model.streamavis import StreamAVIS, StreamAVISConfig

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
