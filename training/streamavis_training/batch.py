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
    """The ground truth of a batch of clips. Empty object rows have class -1 and visible 0.

    `visible`, `sounding` and `heard` are float32: 1 yes, 0 no, NaN unknown.
    """

    masks: Tensor  # (B, T, N, H4, W4) float 0..1, share of each stride-4 cell the object covers
    class_ids: Tensor  # (B, N) int64
    visible: Tensor  # (B, T, N); where 1, the mask is given
    sounding: Tensor  # (B, T, N)
    heard: Tensor  # (B, T, K) classes that are heard, on or off screen
    level: Tensor  # (B, T, N) 0..1, momentary loudness that drives the pose; NaN where unknown
    # (B, T, H4, W4) 0..1, share of each cell that may show unlabelled objects. None: all labelled.
    ignore: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """(B, T, N) bool: the object is in view and its mask is given."""
        return self.visible == 1

    def during(self, part: slice) -> Truth:
        """The same clips, some of their frames."""
        return Truth(
            self.masks[:, part],
            self.class_ids,
            self.visible[:, part],
            self.sounding[:, part],
            self.heard[:, part],
            self.level[:, part],
            None if self.ignore is None else self.ignore[:, part],
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
            None if self.ignore is None else each(self.ignore),
        )


@dataclass
class Batch:
    """Clips for `StreamAVIS.forward` and their truth."""

    frames: Tensor  # (B, T, 3, H, W) uint8
    audio: Tensor  # (B, T, 15360) float32; or ready features (B, T, A)
    times_s: Tensor  # (B, T) float64
    truth: Truth
    first: bool = True  # the clips start here: nothing is carried in
    last: bool = True  # the clips end here
    names: tuple[str, ...] = ()  # (B) where each clip is from, for messages

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
                names=self.names,
            )

    def __post_init__(self) -> None:
        shape = self.frames.shape[:2]
        assert self.audio.shape[:2] == shape, "audio must have one window per frame"
        assert self.times_s.shape == shape and self.times_s.dtype == torch.float64
