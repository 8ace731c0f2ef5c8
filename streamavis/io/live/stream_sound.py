"""The sound inside a network stream, on the engine's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis.io.live.sample_clock import SampleClock, SoundBlock
from streamavis.io.live.steady import SteadySound
from streamavis.io.resample import MonoConverter
from streamavis.io.unusable import UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from streamavis.io.array_sound import ArraySound
    from streamavis.io.live.capture import Captured
    from streamavis.io.live.timeline import StreamTimeline

__all__ = ["StreamSound"]


class StreamSound:
    """A stream's decoded sound on the engine's clock: by its stamps where those are sane."""

    def __init__(self, timeline: StreamTimeline, array: ArraySound | None = None) -> None:
        """Place sound by `timeline`; with `array` its bearings come as well."""
        self._timeline = timeline
        self._array = array
        self._mono = MonoConverter()
        self._rate = 0
        self._steady = SteadySound(1)
        self._counted: SampleClock | None = None

    def feed(self, frame: av.AudioFrame, arrival_ns: int) -> Iterator[Captured]:
        """Chunks and gaps of one decoded frame; nothing of one that cannot be converted."""
        if self._array is not None:
            stamp_ns = self._timeline.on_clock(frame.pts, frame.time_base)
            length_ns = frame.samples * 1_000_000_000 // (frame.sample_rate or 1)
            begin_ns = arrival_ns - length_ns if stamp_ns is None else stamp_ns
            yield from self._array.frame(frame, begin_ns)
        try:
            samples = self._mono.convert(frame)
        except UNUSABLE:
            return
        if frame.sample_rate != self._rate:
            self._rate = frame.sample_rate
            self._steady = SteadySound(self._rate)
            self._counted = None
        start_ns = self._timeline.on_clock(frame.pts, frame.time_base)
        if start_ns is not None:
            yield from self._steady.feed(samples, start_ns, 1e9 / self._rate)
            return
        if self._counted is None:
            self._counted = SampleClock(self._rate)
        for placed in self._counted.place(SoundBlock(samples, arrival_ns)):
            yield from self._steady.feed(*placed)
