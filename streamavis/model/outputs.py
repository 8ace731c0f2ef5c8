"""What the causal network returns, for one frame and for a clip.

B streams, T frames, Q frame queries, V slots, C channels, D mask channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from torch.export import register_dataclass

if TYPE_CHECKING:
    from torch import Tensor

    from streamavis.model.frame_decoder import FramePrediction
    from streamavis.model.state import ModelState

__all__ = ["ClipOutput", "StepOutput"]


@dataclass
class StepOutput:
    """What the network says of one frame of each stream. None: it has no head for that."""

    class_logits: Tensor  # (B, V, K+1), last = no object
    mask_logits: Tensor  # (B, V, H4, W4), of the padded frame
    mask_embed: Tensor  # (B, V, D)
    sounding_logits: Tensor  # (B, V)
    visible_logits: Tensor | None  # (B, V)
    identity: Tensor  # (B, V, identity channels), not normalised
    count_logits: Tensor | None  # (B, 2): more than 0 sound; more than 1, given more than 0
    heard_logits: Tensor | None  # (B, K): a sound of the class is audible, on or off screen
    frame_queries: Tensor  # (B, Q, C)
    frame_class_logits: Tensor  # (B, Q, K+1)
    frame_mask_logits: Tensor  # (B, Q, H4, W4)
    # Of the heads in `extra_heads`, by name: (B, V) or (B, V, n). `Track.extra` gets them.
    extra: dict[str, Tensor] = field(default_factory=dict, kw_only=True)

    def tensors(self) -> dict[str, Tensor]:
        """What this network says of a frame, by name, that of further heads among it."""
        values = {each.name: getattr(self, each.name) for each in fields(StepOutput)}
        values |= values.pop("extra")
        return {name: value for name, value in values.items() if value is not None}


@dataclass
class ClipOutput(StepOutput):
    """`StepOutput` of T frames: every field has (B, T, ...) in place of (B, ...)."""

    video_queries: Tensor  # (B, T, V, C), normalised
    frame_predictions: list[FramePrediction]  # (B*T, ...) before and after each frame layer
    pose_level: Tensor | None  # (B, T, V): the object's momentary level by the picture, 0..1
    pose_map: Tensor | None  # (B, T, H4, W4): the same of whatever object each cell belongs to
    heard_level: Tensor | None  # (B, T, K): momentary loudness of each class, 0..1
    state: ModelState  # after the clip, detached


register_dataclass(StepOutput)  # `torch.export` takes `StreamAVIS.step`
