"""One stream from pictures and sound to results: all of its past lives here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from streamavis.runtime.audio_ring import AudioRing
from streamavis.runtime.clock import Clock, MonotonicClock
from streamavis.runtime.post import SlotOutput, report, to_host
from streamavis.runtime.prep import prepare
from streamavis.runtime.tracks import TrackBook, TrackConfig
from streamavis.types import (
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    AudioChunk,
    AudioState,
    FrameResult,
    Heard,
    Stage,
    VideoFrame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["ModelState", "Session", "StepConfig", "StepModel"]

MAX_GAP_S = 5.0  # without a frame, and continuity is lost; or
MAX_GAP_FRAMES = 5  # this many frame periods, where that is longer

# A frame's sound token carries the envelope of the last 200 ms: while none of it was heard,
# nobody can say who sounds.
_FRESH_SOUND_NS = 200_000_000


class StepConfig(Protocol):
    """What a session reads of the model's configuration."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def short_side(self) -> int: ...


class ModelState(Protocol):
    """The model's past of B streams."""

    def reset(self, streams: Tensor) -> None: ...


class StepModel(Protocol):
    """What a session asks of a model; `streamavis.model.StreamAVIS` is one."""

    @property
    def config(self) -> StepConfig: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def init_state(self, streams: int) -> ModelState: ...

    # `state` is what `init_state` gave: its own type, which only the model knows.
    def step(self, frames: Tensor, audio: Tensor, state: Any, *, times_s: Tensor) -> SlotOutput: ...


class Session:
    """Owns one stream: the model's state, the tracks, the sound of the last seconds.

    `hear` may be called from another thread than `see`.

    A new epoch begins, with the model's past and all track ids forgotten, when time goes back or
    no frame came for longer than max(5 s, 5 frame periods).

    `sounding` is None, unknown, while the microphone is `absent` or `lost`, and in a `gap` while
    the last 200 ms of it are missing. An older hole in the window leaves it known: the newest
    sound, which decides, was heard.
    """

    def __init__(
        self,
        model: StepModel,
        *,
        stream: str,
        audio_delay_s: float = 0.0,
        has_audio: bool = True,
        frame_period_s: float = 0.0,
        tracks: TrackConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Start a stream that has seen nothing.

        Args:
            model: in evaluation mode, on its device.
            stream: name the results carry.
            audio_delay_s: how much later than a picture its sound is available.
            has_audio: False when the source has no microphone; `audio` is then `absent`.
            frame_period_s: seconds between frames; 0: unknown, the latest are measured.
            tracks: when objects are born, the same and forgotten.
            clock: stamps the stages.
        """
        self._model = model
        self._device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._state = model.init_state(1)
        self._stream = stream
        self._delay_s = audio_delay_s
        self._delay_ns = round(audio_delay_s * 1e9)
        self._ring = AudioRing() if has_audio else None
        self._heard_until_ns = 0
        self._book = TrackBook(tracks)
        self._clock = clock or MonotonicClock()
        self._epoch = 0
        self._heard: Heard | None = None
        self._last_time_ns: int | None = None
        self._period_ns = round(frame_period_s * 1e9)
        self._gaps_ns: deque[int] = deque(maxlen=MAX_GAP_FRAMES)  # between the latest frames

    @property
    def heard(self) -> Heard | None:
        """What was in the air at the latest frame; None while nobody can say."""
        return self._heard

    def hear(self, chunk: AudioChunk) -> None:
        """Take in sound; it is kept for 10 s."""
        if self._ring is not None:
            self._ring.write(chunk)
            duration_ns = len(chunk.samples) * 1_000_000_000 // SAMPLE_RATE
            self._heard_until_ns = chunk.start_time_ns + duration_ns

    def see(self, frame: VideoFrame) -> FrameResult:
        """Take in a picture and say what is in it, after all sound up to its time was heard.

        Raises:
            ShapeError: the picture is not (H, W, 3) uint8.
            ModelOutputError: the model gave NaN or infinity.
        """
        self._keep_time(frame.capture_time_ns)
        stamps = dict(frame.stamps)
        with torch.inference_mode():
            pixels = prepare(frame.image, self._model.config.short_side)
            stamps[Stage.PREPROCESS] = self._clock.now_ns()
            samples, audio, hears = self._listen(frame.capture_time_ns - self._delay_ns)
            output = self._model.step(
                pixels.to(self._device),
                torch.from_numpy(samples)[None].to(self._device),
                self._state,
                times_s=torch.tensor([frame.capture_time_ns / 1e9], dtype=torch.float64).to(
                    self._device
                ),
            )
            slots = to_host(output, (pixels.shape[2], pixels.shape[3]))
        stamps[Stage.MODEL] = self._clock.now_ns()
        tracked = self._book.update(frame.capture_time_ns / 1e9, slots.sightings(hears=hears))
        self._heard = None
        if hears and slots.heard is not None:
            self._heard = Heard(frame.capture_time_ns, tuple(map(float, slots.heard)))
        height, width = frame.image.shape[:2]
        tracks = report(slots, tracked, (height, width), self._model.config.classes)
        stamps[Stage.POST] = self._clock.now_ns()
        return FrameResult(
            stream=self._stream,
            epoch=self._epoch,
            seq=frame.index,
            capture_time_ns=frame.capture_time_ns,
            size=(height, width),
            audio=audio,
            audio_delay_s=self._delay_s,
            video=frame.state,
            clock=frame.clock,
            tracks=tracks,
            stamps=stamps,
        )

    def _listen(self, end_ns: int) -> tuple[NDArray[np.float32], AudioState, bool]:
        """The window that ends at `end_ns`, its state, and whether it says who sounds."""
        if self._ring is None:
            return np.zeros(WINDOW_SAMPLES, np.float32), "absent", False
        samples, state = self._ring.window(end_ns)
        fresh = self._heard_until_ns > end_ns - _FRESH_SOUND_NS
        return samples, state, state == "ok" or (state == "gap" and fresh)

    def _keep_time(self, time_ns: int) -> None:
        """Begin a new epoch where continuity broke."""
        if self._last_time_ns is not None:
            gap_ns = time_ns - self._last_time_ns
            period_ns = self._period_ns or min(self._gaps_ns, default=0)
            longest_ns = max(round(MAX_GAP_S * 1e9), MAX_GAP_FRAMES * period_ns)
            if gap_ns < 0 or gap_ns > longest_ns:
                self._epoch += 1
                self._state.reset(torch.ones(1, dtype=torch.bool, device=self._device))
                self._book.new_epoch()
            self._gaps_ns.append(max(gap_ns, 0))
        self._last_time_ns = time_ns
