"""Sound of any rate, layout and format to float samples of one rate, on its exact time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
from av import AudioResampler

from streamavis.audio_ring import NS_PER_SAMPLE
from streamavis.errors import ArgumentError
from streamavis.types import SAMPLE_RATE, AudioChunk

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from numpy.typing import NDArray

__all__ = ["RATES", "ChannelConverter", "MonoConverter", "MonoResampler", "Piece", "Resampler"]

RATES = range(100, 6_000_000)  # Hz; what a damaged header says beyond that is not sound
_JITTER_S = Fraction(5, 1000)  # as the audio ring: containers round their stamps
# Vorbis stamps short blocks 10 ms off, MPEG-TS the later frames of a packet up to 75 ms, and the
# next one is right again. FFmpeg's `aresample` trusts a single stamp that is 100 ms off.
_WOBBLE_S = Fraction(100, 1000)
_WOBBLE_LASTS_S = Fraction(1, 4)  # what is off to one side for longer is where it says


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive samples."""

    samples: NDArray[np.float32]  # (n, channels)
    start_s: Fraction
    channels: tuple[str, ...]  # their names, as FFmpeg has them: FL, FR, ...


class Resampler:
    """Turn decoded audio frames into pieces whose start times follow from the first one's.

    The filter keeps its state from frame to frame, so frame borders are not heard; the samples it
    holds back (about 1 ms) come with the next frame or with `flush`, on the time they belong to.
    A frame of another format starts anew. So does one that is stamped over 100 ms from where the
    last one ended, or the first one after 0.25 s in which every stamp was over 5 ms late, or
    early: a gap in the stamps stays a gap.
    """

    def __init__(self, rate: int) -> None:
        """Start; `rate` is that of the samples to come, Hz."""
        self._rate = rate
        self._resampler: AudioResampler | None = None
        self._kind: tuple[int, str, str] | None = None
        self._start_s = Fraction(0)  # of the resampler's first sample
        self._fed = 0  # samples in, at the input's rate
        self._given = 0  # samples out
        self._off_since = 0  # `_fed` when the stamps left the line to one side
        self._off_s: Fraction | None = None  # the least they were off since then

    @property
    def end_s(self) -> Fraction:
        """Where the sound given so far ends."""
        return self._start_s + Fraction(self._given, self._rate)

    def feed(self, frame: AudioFrame, start_s: Fraction | None) -> list[Piece]:
        """Resample one frame that begins at `start_s`, or where the last one ended if None.

        Raises:
            ArgumentError: the frame is no sound that can be converted.
            av.error.FFmpegError: likewise.
        """
        kind = _kind(frame)
        due_s = self._start_s + Fraction(self._fed, frame.sample_rate)
        if start_s is None:
            start_s = due_s
        pieces: list[Piece] = []
        start_s = self._believed(start_s, due_s, frame.sample_rate)
        if self._resampler is None or kind != self._kind or start_s != due_s:
            pieces += self.flush()
            # Packed: PyAV reads beyond the planes of a planar frame with 8 or more channels.
            self._resampler = AudioResampler(format="flt", layout=None, rate=self._rate)
            self._kind, self._start_s, self._fed, self._given = kind, start_s, 0, 0
            self._off_s = None
        self._fed += frame.samples
        frame.pts = None  # this class keeps the time, exactly
        return pieces + self._pieces(self._resampler.resample(frame))

    def flush(self) -> list[Piece]:
        """What the filter still holds."""
        if self._resampler is None:
            return []
        resampler, self._resampler = self._resampler, None
        return self._pieces(resampler.resample(None))

    def _believed(self, stamp_s: Fraction, due_s: Fraction, rate: int) -> Fraction:
        """Where a frame begins that is stamped with `stamp_s` and due at `due_s`."""
        off_s = stamp_s - due_s
        if abs(off_s) > _WOBBLE_S or self._resampler is None:
            return stamp_s
        if abs(off_s) <= _JITTER_S:
            self._off_s = None
            return due_s
        if self._off_s is None or (self._off_s < 0) != (off_s < 0):
            self._off_since, self._off_s = self._fed, off_s
        self._off_s = min(self._off_s, off_s, key=abs)
        lasts_s = Fraction(self._fed - self._off_since, rate)
        return due_s + self._off_s if lasts_s >= _WOBBLE_LASTS_S else due_s

    def _pieces(self, frames: list[AudioFrame]) -> list[Piece]:
        pieces = []
        for frame in frames:
            samples = _channels(frame)
            names = tuple(channel.name for channel in frame.layout.channels)
            pieces.append(Piece(samples, self.end_s, names))
            self._given += len(samples)
        return pieces


class MonoResampler:
    """Turn decoded audio frames into chunks of 16 kHz mono, as `Resampler` places them.

    Mono is the mean of all channels, as VGGish was trained on.
    """

    def __init__(self) -> None:
        self._resampler = Resampler(SAMPLE_RATE)

    @property
    def end_ns(self) -> int:
        """Where the sound given so far ends."""
        return round(self._resampler.end_s * 1_000_000_000)

    def feed(self, frame: AudioFrame, start_s: Fraction | None) -> list[AudioChunk]:
        """Resample one frame that begins at `start_s`, or where the last one ended if None.

        Raises:
            ArgumentError: the frame is no sound that can be converted.
            av.error.FFmpegError: likewise.
        """
        return _chunks(self._resampler.feed(frame, start_s))

    def flush(self) -> list[AudioChunk]:
        """What the filter still holds."""
        return _chunks(self._resampler.flush())


class ChannelConverter:
    """Decoded audio frames of any kind as samples of every channel, at their own rate."""

    def __init__(self) -> None:
        self._converter: AudioResampler | None = None
        self._kind: tuple[int, str, str] | None = None

    def convert(self, frame: AudioFrame) -> NDArray[np.float32]:
        """(samples, channels); what is damaged may be NaN or beyond full scale.

        Raises:
            ArgumentError: the frame is no sound that can be converted.
            av.error.FFmpegError: likewise.
        """
        kind = _kind(frame)
        if self._converter is None or kind != self._kind:
            self._kind = kind
            self._converter = AudioResampler(format="flt", layout=None, rate=frame.sample_rate)
        stamp, frame.pts = frame.pts, None  # of no use to the converter
        frames = self._converter.resample(frame)
        frame.pts = stamp
        none = np.empty((0, frame.layout.nb_channels), np.float32)
        return np.concatenate([none, *map(_channels, frames)])


class MonoConverter:
    """Decoded audio frames of any kind as the mean of their channels, at their own rate."""

    def __init__(self) -> None:
        self._converter = ChannelConverter()

    def convert(self, frame: AudioFrame) -> NDArray[np.float32]:
        """(samples,) in [-1, 1].

        Raises:
            ArgumentError: the frame is no sound that can be converted.
            av.error.FFmpegError: likewise.
        """
        return _mean(self._converter.convert(frame))


def _kind(frame: AudioFrame) -> tuple[int, str, str]:
    """What a converter is made for.

    Raises:
        ArgumentError: the frame is no sound.
    """
    if frame.sample_rate not in RATES or not frame.layout.nb_channels or not frame.samples:
        raise ArgumentError(f"no sound: {frame.samples} samples at {frame.sample_rate} Hz")
    return frame.sample_rate, frame.layout.name, frame.format.name


def _channels(frame: AudioFrame) -> NDArray[np.float32]:
    """(samples, channels) of a frame of packed 32-bit floats."""
    assert frame.format.name == "flt", "packed floats: planes may not be touched"
    samples = cast("NDArray[np.float32]", frame.to_ndarray())
    return samples.reshape(-1, frame.layout.nb_channels)


def _mean(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) of (n, channels); what is damaged is at most full scale, or stays NaN."""
    with np.errstate(all="ignore"):
        return np.clip(samples.mean(axis=1, dtype=np.float32), -1, 1)


def _chunks(pieces: list[Piece]) -> list[AudioChunk]:
    """Pieces as mono, without samples that were taken before time 0."""
    chunks = []
    for piece in pieces:
        mono, start_ns = _mean(piece.samples), round(piece.start_s * 1_000_000_000)
        early = max(0, -(start_ns // NS_PER_SAMPLE))
        if early < len(mono):
            chunks.append(AudioChunk(mono[early:], start_ns + early * NS_PER_SAMPLE))
    return chunks
