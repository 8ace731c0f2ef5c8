"""What runs a stream and what is run, by protocol: the model, its past, a session.

B streams, H W source pixels, h w network pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from streamavis.runtime.post import SlotOutput
    from streamavis.types import (
        AudioChunk,
        AudioGap,
        AudioState,
        Candidate,
        FrameResult,
        Heard,
        VideoFrame,
    )

__all__ = ["StepConfig", "StepInput", "StepModel", "StepState", "StreamSession", "step"]


class StepConfig(Protocol):
    """What a session reads of the model's configuration."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def short_side(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def score_on(self) -> float: ...
    @property
    def score_off(self) -> float: ...


class StepState(Protocol):
    """The model's past of B streams; all but `reset` is for engines of several streams."""

    def reset(self, streams: Tensor) -> None: ...
    def view(self, stream: int) -> Self: ...
    def select(self, streams: Sequence[int]) -> Self: ...
    def assign(self, streams: Sequence[int], other: Self) -> None: ...
    def tensors(self) -> list[Tensor]: ...
    def check(self) -> None: ...


class StepModel(Protocol):
    """What a session asks of a model; `streamavis.model.StreamAVIS` is one."""

    @property
    def config(self) -> StepConfig: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def init_state(self, streams: int) -> StepState: ...

    # `state` is what `init_state` gave: its own type, which only the model knows.
    # `active` is given by engines of several streams only.
    def step(
        self, frames: Tensor, audio: Tensor, state: Any, *, times_s: Tensor, active: Any = None
    ) -> SlotOutput: ...


@dataclass(slots=True)
class StepInput:
    """One frame made ready for the model, and what its result will say besides the tracks."""

    frame: VideoFrame
    time_ns: int  # for model and tracks: as the frame's, but never back within an epoch
    pixels: Tensor  # (1, 3, h, w) uint8 at network size, on the host
    samples: NDArray[np.float32]  # (15360,)
    audio: AudioState
    hears: bool  # whether the sound says who sounds
    stamps: dict[str, int]


class StreamSession(Protocol):
    """What an engine asks of one stream's past; `streamavis.session.Session` is one.

    Attributes:
        stream: name the results carry.
        audio_delay_s: how much later than a picture its sound is available.
        microphone_lost: the engine knows that the microphone is gone.
        short_side: pixels of the network's picture.
        max_tracks: how many tracks a result may have; None: all.
    """

    stream: str
    audio_delay_s: float
    microphone_lost: bool
    short_side: int
    max_tracks: int | None

    @property
    def model(self) -> StepModel: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def has_audio(self) -> bool: ...
    @property
    def heard(self) -> Heard | None: ...
    @property
    def state(self) -> StepState: ...
    def adopt(self, state: StepState) -> None: ...
    def rebuild(self) -> None: ...
    def hear(self, chunk: AudioChunk) -> None: ...
    def miss(self, gap: AudioGap) -> None: ...
    def begin(self, frame: VideoFrame) -> StepInput: ...
    def finish(self, ready: StepInput, output: SlotOutput) -> FrameResult: ...
    def candidates(self) -> list[Candidate]: ...


def step(
    inputs: Sequence[StepInput],
    model: StepModel,
    state: StepState,
    device: torch.device,
    **options: Tensor,
) -> SlotOutput:
    """Advance `state` by one frame of each of its streams; `options` go to the model as well."""
    one = len(inputs) == 1  # its picture stays where it is, as it lies in memory
    pixels = inputs[0].pixels if one else torch.cat([ready.pixels for ready in inputs])
    samples = torch.from_numpy(np.stack([ready.samples for ready in inputs]))
    times_s = [ready.time_ns / 1e9 for ready in inputs]
    with torch.inference_mode():
        return model.step(
            pixels.to(device),
            samples.to(device),
            state,
            times_s=torch.tensor(times_s, dtype=torch.float64).to(device),
            **options,
        )
