"""What the losses compare the network with. B clips, T frames, N objects, K classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Batch", "Truth"]


@dataclass
class Truth:
    """The truth about a batch of clips. Empty object rows have class -1 and are never visible."""

    masks: Tensor  # (B, T, N, H4, W4) float 0..1, share of each stride-4 cell the object covers
    class_ids: Tensor  # (B, N) int64
    visible: Tensor  # (B, T, N) bool
    sounding: Tensor  # (B, T, N) bool
    heard: Tensor  # (B, T, K) 0 or 1, classes in the air, on or off screen; NaN where unknown
    level: Tensor  # (B, T, N) 0..1, momentary loudness that drives the pose; NaN where unknown

    def during(self, part: slice) -> Truth:
        """The same clips, some of their frames."""
        return Truth(
            self.masks[:, part],
            self.class_ids,
            self.visible[:, part],
            self.sounding[:, part],
            self.heard[:, part],
            self.level[:, part],
        )

    def frame(self) -> Truth:
        """The same with every frame as a clip of its own: (B*T, 1, ...)."""
        steps = self.masks.shape[1]

        def each(x: Tensor) -> Tensor:
            return x.flatten(0, 1)[:, None]

        return Truth(
            each(self.masks),
            self.class_ids.repeat_interleave(steps, 0),
            each(self.visible),
            each(self.sounding),
            each(self.heard),
            each(self.level),
        )


@dataclass
class Batch:
    """Clips for `StreamAVIS.forward` and their truth."""

    frames: Tensor  # (B, T, 3, H, W) uint8
    audio: Tensor  # (B, T, 15360) float32
    times_s: Tensor  # (B, T) float64
    truth: Truth
    first: bool = True  # the clips start here: nothing is carried in
    last: bool = True  # the clips end here

    def parts(self, frames: int) -> Iterator[Batch]:
        """The same clips in consecutive parts of `frames`; T must be a multiple of it."""
        steps = self.times_s.shape[1]
        assert steps % frames == 0, f"{steps} frames do not split into parts of {frames}"
        for start in range(0, steps, frames):
            part = slice(start, start + frames)
            yield Batch(
                self.frames[:, part],
                self.audio[:, part],
                self.times_s[:, part],
                self.truth.during(part),
                first=start == 0,
                last=start + frames == steps,
            )

    def __post_init__(self) -> None:
        shape = self.frames.shape[:2]
        assert self.audio.shape[:2] == shape, "audio must have one window per frame"
        assert self.times_s.shape == shape and self.times_s.dtype == torch.float64
