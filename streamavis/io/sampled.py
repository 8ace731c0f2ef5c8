"""A recording as the offline network takes it: frames at a steady rate, and all of its sound."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamavis.errors import TruncatedInputError
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from streamavis.io.media import MediaSource

__all__ = ["FirstPass", "frames_at", "listen"]

_NS = 1_000_000_000


@dataclass
class FirstPass:
    """The first look at a recording: its sound, and how many frames will be looked at."""

    waveform: NDArray[np.float32]  # (samples,) 16 kHz mono from time 0, zeros in gaps
    frames: int
    truncated: TruncatedInputError | None  # everything before the break is there


def frames_at(source: MediaSource, fps: float) -> Iterator[VideoFrame]:
    """What a screen shows at 0, 1/fps, 2/fps ... s; a file that breaks off just ends."""

    def pictures() -> Iterator[VideoFrame]:
        # `listen` has kept the error, to be raised once the results are written.
        with suppress(TruncatedInputError):
            yield from (item for item in source if isinstance(item, VideoFrame))

    return _shown(pictures(), fps)


def _shown(frames: Iterator[VideoFrame], fps: float) -> Iterator[VideoFrame]:
    shown: VideoFrame | None = None
    count = 0

    def due_ns() -> int:
        return round(count * _NS / fps)

    for frame in frames:
        while shown is not None and due_ns() < frame.capture_time_ns:
            yield shown
            count += 1
        shown = frame
    while shown is not None and due_ns() <= shown.capture_time_ns:
        yield shown
        count += 1


def listen(
    source: MediaSource, fps: float, progress: Callable[[int], None] = lambda frames: None
) -> FirstPass:
    """Decode a recording once, for its sound and the number of its frames.

    Args:
        source: read to its end; fps: frames looked at per second.
        progress: called with the number of frames so far.
    """
    chunks: list[AudioChunk] = []
    truncated: TruncatedInputError | None = None

    def pictures() -> Iterator[VideoFrame]:
        nonlocal truncated
        try:
            for item in source:
                if isinstance(item, VideoFrame):
                    yield item
                elif isinstance(item, AudioChunk):
                    chunks.append(item)
        except TruncatedInputError as error:
            truncated = error

    frames = 0
    for frames, _ in enumerate(_shown(pictures(), fps), start=1):
        progress(frames)
    starts = [round(chunk.start_time_ns * SAMPLE_RATE / _NS) for chunk in chunks]
    ends = [start + len(chunk.samples) for start, chunk in zip(starts, chunks, strict=True)]
    waveform = np.zeros(max(ends, default=0), np.float32)
    for start, chunk in zip(starts, chunks, strict=True):
        if start + len(chunk.samples) > 0:
            waveform[max(start, 0) : start + len(chunk.samples)] = chunk.samples[max(-start, 0) :]
    return FirstPass(waveform, frames, truncated)
