"""The sound inside a network stream, on the engine's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamavis.io.live.sample_clock import Block, SampleClock
from streamavis.io.live.steady import SteadySound

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    from numpy.typing import NDArray

    from streamavis.io.live.capture import Captured
    from streamavis.io.live.timeline import StreamTimeline

__all__ = ["StreamSound", "mono"]

_SCALE = {"u1": (128.0, 128.0), "i2": (0.0, 2.0**15), "i4": (0.0, 2.0**31)}  # zero, full scale


class StreamSound:
    """A stream's decoded sound on the engine's clock: by its stamps where those are sane."""

    def __init__(self, timeline: StreamTimeline) -> None:
        self._timeline = timeline
        self._rate = 0
        self._steady = SteadySound(1)
        self._counted: SampleClock | None = None

    def feed(self, frame: av.AudioFrame, arrival_ns: int) -> Iterator[Captured]:
        """Chunks and gaps of one decoded frame."""
        if frame.sample_rate != self._rate:
            self._rate = frame.sample_rate
            self._steady = SteadySound(self._rate)
            self._counted = None
        samples = mono(frame)
        start_ns = self._timeline.on_clock(frame.pts, frame.time_base)
        if start_ns is not None:
            yield from self._steady.feed(samples, start_ns, 1e9 / self._rate)
            return
        if self._counted is None:
            self._counted = SampleClock(self._rate)
        for placed in self._counted.place(Block(samples, arrival_ns)):
            yield from self._steady.feed(*placed)


def mono(frame: av.AudioFrame) -> NDArray[np.float32]:
    """(n,) float32 in [-1, 1]: the mean of the channels, as everywhere in this project."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels)).T
    zero, full = _SCALE.get(samples.dtype.str[1:], (0.0, 1.0))
    return ((samples.mean(axis=0, dtype=np.float64) - zero) / full).astype(np.float32)
