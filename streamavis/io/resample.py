"""Sound of any rate, layout and format to 16 kHz mono, on its exact time."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av import AudioResampler

from streamavis.runtime.audio_ring import NS_PER_SAMPLE
from streamavis.types import SAMPLE_RATE, AudioChunk

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

__all__ = ["MonoResampler"]

_JITTER_S = Fraction(5, 1000)  # as the audio ring: containers round their stamps


class MonoResampler:
    """Turn decoded audio frames into chunks whose start times follow from the first one's.

    The filter keeps its state from frame to frame, so frame borders are not heard; the samples it
    holds back (about 1 ms) come with the next frame or with `flush`, on the time they belong to.
    A frame stamped over 5 ms from where the last one ended, or of another format, starts anew:
    a gap in the stamps stays a gap. Mono is the mean of all channels, as VGGish was trained on.
    """

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._kind: tuple[int, str, str] | None = None
        self._start_s = Fraction(0)  # of the resampler's first sample
        self._fed = 0  # samples in, at the input's rate
        self._given = 0  # samples out, at 16 kHz

    @property
    def end_ns(self) -> int:
        """Where the sound given so far ends."""
        return round(self._start_s * 1_000_000_000) + self._given * NS_PER_SAMPLE

    def feed(self, frame: AudioFrame, start_s: Fraction | None) -> list[AudioChunk]:
        """Resample one frame that begins at `start_s`, or where the last one ended if None."""
        chunks: list[AudioChunk] = []
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        due_s = self._start_s + Fraction(self._fed, frame.sample_rate)
        if start_s is None:
            start_s = due_s
        if self._resampler is None or kind != self._kind or abs(start_s - due_s) > _JITTER_S:
            chunks += self.flush()
            self._resampler = AudioResampler(format="fltp", layout=None, rate=SAMPLE_RATE)
            self._kind, self._start_s, self._fed, self._given = kind, start_s, 0, 0
        self._fed += frame.samples
        frame.pts = None  # this class keeps the time, exactly
        return chunks + self._chunks(self._resampler.resample(frame))

    def flush(self) -> list[AudioChunk]:
        """What the filter still holds."""
        if self._resampler is None:
            return []
        resampler, self._resampler = self._resampler, None
        return self._chunks(resampler.resample(None))

    def _chunks(self, frames: list[AudioFrame]) -> list[AudioChunk]:
        chunks = []
        for frame in frames:
            channels = frame.to_ndarray()  # (channels, samples)
            mono = channels.mean(axis=0, dtype=np.float32)
            chunks.append(AudioChunk(mono, self.end_ns))
            self._given += len(mono)
        return chunks
