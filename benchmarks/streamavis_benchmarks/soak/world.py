"""A camera, a microphone and a model that break on command, for `bench soak`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from streamavis.errors import InputError
from streamavis.io.live import Device
from streamavis.types import SAMPLE_RATE, AudioChunk, AudioGap, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from streamavis.clock import Clock
    from streamavis.io.live import Captured
    from streamavis.runtime.post import SlotOutput
    from streamavis.runtime.step import StepConfig, StepModel, StepState
    from streamavis_benchmarks.faults.watch import Fault

__all__ = ["FAULTS", "FaultyModel", "World"]

FAULTS: tuple[Fault, ...] = ("close", "hang", "freeze", "mic", "xrun", "raise", "nan", "slow")

_SCENES = 32  # pictures that follow each other round and round
_BLOCK = SAMPLE_RATE // 50  # samples the microphone gives at a time
_NS = 1_000_000_000


class World:
    """What is there to see and hear, and what is wrong with it.

    Attributes:
        fault: what is broken now; set from any thread.
    """

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        """Draw a world of pictures (H, W) `size` and `fps` of them per second."""
        self.fault: Fault | None = None
        self.fps = fps
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 60, (*size, 3), dtype=np.uint8)
        self._scenes = [_scene(noise, n / _SCENES) for n in range(_SCENES)]
        beats = np.sin(np.arange(SAMPLE_RATE) * 2 * np.pi * 440 / SAMPLE_RATE)
        self._sound = (0.3 * beats * (np.arange(SAMPLE_RATE) % 4000 < 1500)).astype(np.float32)

    def camera(self) -> Device:
        """A camera of this world."""
        return Device("soak-camera", "video", open=lambda clock: _Camera(self, clock))

    def microphone(self) -> Device:
        """A microphone of this world."""
        return Device("soak-mic", "audio", open=lambda clock: _Microphone(self, clock))

    def scene(self, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The picture of this number; the same one for a camera that freezes."""
        return self._scenes[0 if self.fault == "freeze" else number % _SCENES]

    def sound(self, block: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """20 ms of sound."""
        start = block * _BLOCK % SAMPLE_RATE
        return self._sound[start : start + _BLOCK]


class _Capture:
    """Gives items at an even pace; refuses, breaks or hangs while the world says so."""

    fps: float | None = None
    has_sound = False

    def __init__(self, world: World, clock: Clock) -> None:
        self._world, self._clock = world, clock
        self._aborted = threading.Event()

    def abort(self) -> None:
        self._aborted.set()

    def _ticks(self, period_ns: int, breaks: Fault, hangs: Fault | None) -> Iterator[int]:
        due_ns = self._clock.now_ns()
        while True:
            if self._world.fault == breaks:
                raise InputError("unplugged by the soak test")
            while hangs is not None and self._world.fault == hangs:
                if self._aborted.wait(0.02):
                    return
            if not self._clock.wait_until(due_ns, self._aborted):
                return
            yield due_ns
            due_ns = max(due_ns + period_ns, self._clock.now_ns() - period_ns)


class _Camera(_Capture):
    def __init__(self, world: World, clock: Clock) -> None:
        super().__init__(world, clock)
        self.fps = world.fps

    def __iter__(self) -> Iterator[Captured]:
        for number, due_ns in enumerate(self._ticks(round(_NS / self._world.fps), "close", "hang")):
            yield VideoFrame(self._world.scene(number), due_ns, number, "driver")


class _Microphone(_Capture):
    has_sound = True

    def __iter__(self) -> Iterator[Captured]:
        period_ns = _BLOCK * _NS // SAMPLE_RATE
        end_ns: int | None = None
        for number, due_ns in enumerate(self._ticks(period_ns, "mic", None)):
            start_ns = due_ns - period_ns
            if self._world.fault == "xrun" and number % 5 < 3:
                continue
            if end_ns is not None and start_ns - end_ns > period_ns // 2:
                yield AudioGap(end_ns, start_ns - end_ns, "overflow")
            yield AudioChunk(self._world.sound(number), start_ns)
            end_ns = due_ns


class FaultyModel:
    """A model that fails, gives NaN or takes twice its time while its world says so."""

    def __init__(self, model: StepModel, world: World, clock: Clock) -> None:
        self._model, self._world, self._clock = model, world, clock
        self._usual_ns = 50_000_000

    @property
    def config(self) -> StepConfig:
        """Of the model within."""
        return self._model.config

    def parameters(self) -> Iterator[Tensor]:
        """Of the model within."""
        return self._model.parameters()

    def init_state(self, streams: int) -> StepState:
        """Of the model within."""
        return self._model.init_state(streams)

    def step(self, frames: Tensor, audio: Tensor, state: Any, **options: Any) -> SlotOutput:
        """A step of the model within, unless something is wrong."""
        begin_ns = self._clock.now_ns()
        if self._world.fault == "raise":
            raise RuntimeError("out of memory, says the soak test")
        output = self._model.step(frames, audio, state, **options)
        if self._world.fault == "nan":
            output.mask_logits.fill_(torch.nan)
        taken_ns = self._clock.now_ns() - begin_ns
        if self._world.fault == "slow":
            self._clock.wait_until(self._clock.now_ns() + self._usual_ns, threading.Event())
        else:
            self._usual_ns = taken_ns
        return output


def _scene(noise: np.ndarray[Any, np.dtype[np.uint8]], phase: float) -> np.ndarray[Any, Any]:
    """Noise with a box that goes round."""
    height, width = noise.shape[:2]
    image = np.roll(noise, int(97 * phase), axis=1)
    x = int((width - width // 4) * (0.5 + 0.5 * np.sin(2 * np.pi * phase)))
    image[height // 3 : height // 2, x : x + width // 4] = (220, 60, 30)
    return image
