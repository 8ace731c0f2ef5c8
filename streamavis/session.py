"""One stream from pictures and sound to results: all of its past lives here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import torch

from streamavis.audio_ring import AudioRing
from streamavis.clock import MAX_GAP_FRAMES, MAX_GAP_S, RESTART_NS, Clock, MonotonicClock
from streamavis.errors import ArgumentError
from streamavis.pushing import PushedSound, rgb_picture, time_ns_of
from streamavis.runtime import handover
from streamavis.runtime.candidates import candidates
from streamavis.runtime.post import SlotOutput, report, to_host
from streamavis.runtime.prep import prepare
from streamavis.runtime.step import StepInput, step
from streamavis.runtime.tracks import TrackBook, TrackConfig
from streamavis.types import (
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    AudioChunk,
    AudioGap,
    AudioState,
    FrameResult,
    Heard,
    Stage,
    VideoFrame,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.runtime.step import StepModel, StepState
    from streamavis.types import Candidate

__all__ = ["Session"]

# A frame's sound token carries the envelope of the last 200 ms: while none of it was heard,
# nobody can say who sounds.
_FRESH_SOUND_NS = 200_000_000


class _Seen(NamedTuple):
    """The latest picture's output, kept for whoever asks for its candidates."""

    output: SlotOutput
    network_size: tuple[int, int]  # h, w
    size: tuple[int, int]  # H, W


class Session:
    """Owns one stream: the model's state, the tracks, the sound of the last seconds.

        session = streamavis.Session(model, sample_rate=48_000)
        session.push_audio(samples, time_s)
        result = session.push_frame(image, time_s)

    A loop of one's own pushes sound and pictures as it has them. Sound and pictures are timed on
    one clock, which may be any. A picture hears what was taken before it: push the sound up to its
    time first. Sound that is pushed ahead is heard by the pictures it belongs to.

    An engine calls `hear` and `see` instead. Sound may come from another thread than pictures.

    A new epoch begins, with the model's past and all track ids forgotten, when time goes back by
    1 s or more, when no frame came for longer than max(5 s, 5 frame periods), and where the source
    says so (`VideoFrame.epoch`). A frame whose time steps back by less, as misstamped ones do,
    counts as taken with the one before.

    `sounding` is None, unknown, while the microphone is `absent` or `lost`, and in a `gap` while
    the last 200 ms of it are missing. An older hole in the window leaves it known: the newest
    sound, which decides, was heard.

    `see` is `begin`, one step of the model and `finish`: an engine of several streams makes the
    step for all of them at once.

    Attributes:
        audio_delay_s: how much later than a picture its sound is available; may change.
        microphone_lost: set by who knows that the microphone is gone before its silence shows.
        short_side: pixels of the network's picture; the model's own, or less to save time.
        max_tracks: how many tracks a result may have, the best ones; None: all.
    """

    def __init__(
        self,
        model: StepModel,
        *,
        stream: str = "main",
        sample_rate: int = SAMPLE_RATE,
        audio_delay_s: float = 0.0,
        has_audio: bool = True,
        frame_period_s: float = 0.0,
        tracks: TrackConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Start a stream that has seen nothing.

        Args:
            model: of `streamavis.load`; in evaluation mode, on its device, its weights float32.
            stream: name the results carry.
            sample_rate: of what `push_audio` is given, Hz.
            audio_delay_s: how much later than a picture its sound is available. In a live loop
                that is the length of a block of samples, or more; else the newest sound is missing.
            has_audio: False when the source has no microphone; `audio` is then `absent`.
            frame_period_s: seconds between frames; 0: unknown, the latest are measured.
            tracks: when objects are born, the same and forgotten; by default as `TrackConfig`
                says, with the scores that the model was made for.
            clock: stamps the stages.

        Raises:
            ArgumentError: no sound has this rate, or the model's weights are not float32.
        """
        _check_weights(model)
        self.stream = stream
        self.audio_delay_s = audio_delay_s
        self.microphone_lost = False
        self.short_side = model.config.short_side
        self.max_tracks: int | None = None
        self._model = model
        self._device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._state = model.init_state(1)
        self._ring = AudioRing() if has_audio else None
        self._heard_until_ns = 0
        c = model.config
        self._book = TrackBook(tracks or TrackConfig(score_on=c.score_on, score_off=c.score_off))
        self._clock = clock or MonotonicClock()
        self._epoch = 0
        self._heard: Heard | None = None
        self._last_time_ns: int | None = None
        self._source_epoch: int | None = None  # of the latest frame
        self._period_ns = round(frame_period_s * 1e9)
        self._gaps_ns: deque[int] = deque(maxlen=MAX_GAP_FRAMES)  # between the latest frames
        self._next_seq = 0
        self._seq_shift = 0  # what `seq` is ahead of the source's count
        self._weights: str | None = None  # digest of the model's, once it was asked for
        self._seen: _Seen | None = None
        self._sample_rate = sample_rate
        self._sound = PushedSound(sample_rate)
        self._pushed = 0  # pictures
        self._pushed_ns: int | None = None  # of the latest

    @property
    def heard(self) -> Heard | None:
        """What was in the air at the latest frame; None while nobody can say."""
        return self._heard

    @property
    def model(self) -> StepModel:
        """The network, which several sessions may share."""
        return self._model

    @property
    def has_audio(self) -> bool:
        """False when the source has no microphone."""
        return self._ring is not None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._device

    @property
    def state(self) -> StepState:
        """The model's past of this stream, B = 1."""
        return self._state

    def adopt(self, state: StepState) -> None:
        """Move the model's past into `state`, B = 1, and keep it there from now on."""
        state.assign([0], self._state)
        self._state = state

    def rebuild(self) -> None:
        """Forget what the model remembers, every number of it, and begin a new epoch."""
        self._state.assign([0], self._model.init_state(1))
        self._epoch += 1
        self._book.new_epoch()

    def push_audio(self, samples: object, time_s: float) -> None:
        """Take in sound as it is captured; it is kept for 10 s.

        Args:
            samples: (n,) or (n, channels) at `sample_rate`, float32 in [-1, 1] or int16; a NumPy
                array or a torch tensor. The mean of the channels is heard.
            time_s: when the first sample was taken, seconds.

        Raises:
            ShapeError: the samples are something else; says what.
            ArgumentError: `time_s` is no time, or goes back.
        """
        for chunk in self._sound.feed(samples, time_s):
            self.hear(chunk)

    def push_frame(self, image: object, time_s: float, *, bgr: bool = False) -> FrameResult:
        """Take in a picture and say what is in it.

        Args:
            image: (H, W, 3) uint8 RGB, a NumPy array or a torch tensor; or a PyAV video frame.
            time_s: when it was taken, seconds, on the clock of the sound.
            bgr: an array's channels are blue, green, red, as OpenCV has them.

        Returns:
            The result; its `clock` is "pts": the times are the caller's.

        Raises:
            ShapeError: the picture is something else; says what.
            ArgumentError: `time_s` is no time, or goes back.
            ModelOutputError: the model gave NaN or infinity.
        """
        time_ns = time_ns_of(time_s, self._pushed_ns, "the picture")
        frame = VideoFrame(rgb_picture(image, bgr=bgr), time_ns, self._pushed, clock="pts")
        result = self.see(frame)
        self._pushed, self._pushed_ns = self._pushed + 1, time_ns
        return result

    def restart(self) -> None:
        """Forget all that was seen and heard and begin a new epoch; times may begin anew."""
        self.rebuild()
        if self._ring is not None:
            self._ring.reset()
        self._sound = PushedSound(self._sample_rate)
        self._heard = self._last_time_ns = self._pushed_ns = self._seen = None
        self._heard_until_ns = 0
        self._gaps_ns.clear()

    def hear(self, chunk: AudioChunk) -> None:
        """Take in sound; it is kept for 10 s."""
        if self._ring is not None:
            self._ring.write(chunk)
            duration_ns = len(chunk.samples) * 1_000_000_000 // SAMPLE_RATE
            self._heard_until_ns = chunk.start_time_ns + duration_ns

    def miss(self, gap: AudioGap) -> None:
        """Take note of sound that was lost."""
        if self._ring is not None:
            self._ring.miss(gap)

    def see(self, frame: VideoFrame) -> FrameResult:
        """Take in a picture and say what is in it, after all sound up to its time was heard.

        Raises:
            ShapeError: the picture is not (H, W, 3) uint8.
            ModelOutputError: the model gave NaN or infinity.
        """
        ready = self.begin(frame)
        return self.finish(ready, step([ready], self._model, self._state, self._device))

    def begin(self, frame: VideoFrame) -> StepInput:
        """Resize a picture, cut the sound that belongs to it, and keep the stream's time.

        Raises:
            ShapeError: the picture is not (H, W, 3) uint8.
        """
        with torch.inference_mode():
            pixels = prepare(frame.image, self.short_side, self._device)
        time_ns = self._keep_time(frame)
        stamps = {**frame.stamps, Stage.PREPROCESS: self._clock.now_ns()}
        samples, audio, hears = self._listen(
            frame.capture_time_ns - round(self.audio_delay_s * 1e9)
        )
        return StepInput(frame, time_ns, pixels, samples, audio, hears, stamps)

    def finish(self, ready: StepInput, output: SlotOutput) -> FrameResult:
        """Turn the model's output for a frame, B = 1, into its result.

        Raises:
            ModelOutputError: the model gave NaN or infinity.
        """
        frame, stamps = ready.frame, ready.stamps
        with torch.inference_mode():
            slots = to_host(output, (ready.pixels.shape[2], ready.pixels.shape[3]))
        stamps[Stage.MODEL] = self._clock.now_ns()
        tracked = self._book.update(ready.time_ns / 1e9, slots.sightings(hears=ready.hears))
        if self.max_tracks is not None and len(tracked) > self.max_tracks:
            best = sorted(tracked, key=lambda seen: -seen.score)[: self.max_tracks]
            tracked = sorted(best, key=lambda seen: seen.id)
        self._heard = None
        if ready.hears and slots.heard is not None:
            self._heard = Heard(frame.capture_time_ns, tuple(map(float, slots.heard)))
        height, width = frame.image.shape[:2]
        tracks = report(slots, tracked, (height, width), self._model.config.classes)
        network_size = (ready.pixels.shape[2], ready.pixels.shape[3])
        self._seen = _Seen(output, network_size, (height, width))
        stamps[Stage.POST] = self._clock.now_ns()
        return FrameResult(
            stream=self.stream,
            epoch=self._epoch,
            seq=self._number(frame.index),
            capture_time_ns=frame.capture_time_ns,
            size=(height, width),
            audio=ready.audio,
            audio_delay_s=self.audio_delay_s,
            video=frame.state,
            clock=frame.clock,
            tracks=tracks,
            stamps=stamps,
        )

    def candidates(self) -> list[Candidate]:
        """What the frame queries proposed in the latest picture, best first; for those who ask.

        On the thread that calls `see`. Empty before the first picture.
        """
        if self._seen is None:
            return []
        output, network_size, size = self._seen
        return candidates(output, network_size, size, self._model.config.classes)

    def to_bytes(self) -> bytes:
        """Everything another process needs to go on as if nothing had happened.

        Between two frames: not while `see` runs. Sound that comes afterwards is not in it.
        """
        saved = handover.SavedSession(
            config=handover.describe(self._model.config),
            weights=self._digest(),
            stream=self.stream,
            audio_delay_s=self.audio_delay_s,
            microphone_lost=self.microphone_lost,
            short_side=self.short_side,
            max_tracks=self.max_tracks,
            period_ns=self._period_ns,
            gaps_ns=list(self._gaps_ns),
            epoch=self._epoch,
            last_time_ns=self._last_time_ns,
            next_seq=self._next_seq,
            seq_shift=self._seq_shift,
            ring=None if self._ring is None else self._ring.to_bytes(),
            heard_until_ns=self._heard_until_ns,
            track_config=self._book.config,
            tracks=handover.pack_tracks(self._book.state),
            model=handover.pack_tensors(self._state.tensors()),
        )
        return handover.encode(saved)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        model: StepModel,
        *,
        sample_rate: int = SAMPLE_RATE,
        clock: Clock | None = None,
    ) -> Self:
        """Go on where the session that wrote `data` stood.

        The next results are those that it would have given, bit for bit on a machine of the same
        type; a source that counts its frames anew does not take `seq` back.

        Args:
            data: of `to_bytes`.
            model: the same network with the same weights, on any device.
            sample_rate: of what `push_audio` will be given; its filter begins anew.
            clock: stamps the stages.

        Raises:
            StreamStateError: `data` is damaged or no session, or ran on another model.
        """
        saved = handover.decode(data, most_gaps=MAX_GAP_FRAMES)
        session = cls(
            model,
            stream=saved.stream,
            sample_rate=sample_rate,
            audio_delay_s=saved.audio_delay_s,
            has_audio=saved.ring is not None,
            frame_period_s=saved.period_ns / 1e9,
            tracks=saved.track_config,
            clock=clock,
        )
        handover.check_model(saved, handover.describe(model.config), session._digest())
        session.microphone_lost = saved.microphone_lost
        session.short_side, session.max_tracks = saved.short_side, saved.max_tracks
        handover.unpack_tensors(saved.model, session._state.tensors())
        session._state.check()
        c = model.config
        session._book.state = handover.unpack_tracks(saved, len(c.classes), c.slots)
        if saved.ring is not None:
            session._ring = AudioRing.from_bytes(saved.ring)
        session._heard_until_ns = saved.heard_until_ns
        session._epoch, session._last_time_ns = saved.epoch, saved.last_time_ns
        session._next_seq, session._seq_shift = saved.next_seq, saved.seq_shift
        session._pushed_ns = saved.last_time_ns
        session._gaps_ns.extend(saved.gaps_ns)
        return session

    def _digest(self) -> str:
        if self._weights is None:
            self._weights = handover.digest(self._model.parameters())
        return self._weights

    def _number(self, index: int) -> int:
        """`seq` of the source's frame `index`: it rises, also when the source counts anew."""
        self._seq_shift = max(self._seq_shift, self._next_seq - index)
        self._next_seq = index + self._seq_shift + 1
        return self._next_seq - 1

    def _listen(self, end_ns: int) -> tuple[NDArray[np.float32], AudioState, bool]:
        """The window that ends at `end_ns`, its state, and whether it says who sounds."""
        if self._ring is None:
            return np.zeros(WINDOW_SAMPLES, np.float32), "absent", False
        samples, state = self._ring.window(end_ns)
        if self.microphone_lost:
            return samples, "lost", False
        fresh = self._heard_until_ns > end_ns - _FRESH_SOUND_NS
        return samples, state, state == "ok" or (state == "gap" and fresh)

    def _keep_time(self, frame: VideoFrame) -> int:
        """The time model and tracks get; begins a new epoch where continuity broke."""
        time_ns, last_ns = frame.capture_time_ns, self._last_time_ns
        restarted = self._source_epoch not in (None, frame.epoch)
        self._source_epoch = frame.epoch
        if last_ns is not None:
            gap_ns = time_ns - last_ns
            period_ns = self._period_ns or min(self._gaps_ns, default=0)
            longest_ns = max(round(MAX_GAP_S * 1e9), MAX_GAP_FRAMES * period_ns)
            if restarted or gap_ns <= -RESTART_NS or gap_ns > longest_ns:
                self._epoch += 1
                self._state.reset(torch.ones(1, dtype=torch.bool, device=self._device))
                self._book.new_epoch()
            elif gap_ns < 0:
                time_ns = last_ns
            self._gaps_ns.append(max(gap_ns, 0))
        self._last_time_ns = time_ns
        return time_ns


def _check_weights(model: StepModel) -> None:
    """Refuse weights in 16 bits before anything starts.

    Raises:
        ArgumentError: says how to compute in 16 bits.
    """
    found = next((p.dtype for p in model.parameters() if p.dtype != torch.float32), None)
    if found is not None and found.is_floating_point:
        name = str(found).removeprefix("torch.")
        raise ArgumentError(
            f"the model's weights are {name}, expected float32; to compute in 16 bits load it with "
            "streamavis.load(..., dtype='bf16'), which keeps float32 weights"
        )
