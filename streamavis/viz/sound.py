"""A picture of the sound: its level now, and a spectrogram of the last seconds.

Times are those of the stream, so what is drawn up to t is what was heard up to t.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.audio_ring import AudioRing, level_dbfs
from streamavis.palette import INK
from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import AudioChunk

__all__ = ["HOP_NS", "SoundView"]

HOP_NS = 10_000_000  # one column
_HOP = SAMPLE_RATE // 100  # samples
_SPAN = 512  # samples of a spectrum, 32 ms; it ends with its hop
_BANDS = 40
_RANGE_HZ = (80.0, 7_600.0)
_RANGE_DB = (-88.0, -28.0)  # dark to bright, of a band
_LATE_HOPS = 50  # sound that is later than 0.5 s is not waited for
_SILENT = 8  # brightness of a column that was heard: what was not heard is darker still


class SoundView:
    """Keeps the sound of the last seconds and draws it.

    Each column is computed once, when it is first drawn. `hear` may be called from another thread.
    """

    def __init__(self, seconds: float = 8.0) -> None:
        """Show the last `seconds`."""
        self._ring = AudioRing(seconds + 2)
        self._columns = round(seconds * 1e9 / HOP_NS)
        self._pixels = np.zeros((_BANDS, self._columns), np.uint8)  # column n is at n mod columns
        self._next: int | None = None  # the first column not computed yet

    @property
    def seconds(self) -> float:
        """How much of the past the spectrogram covers."""
        return self._columns * HOP_NS / 1e9

    def hear(self, chunk: AudioChunk) -> None:
        """Take in sound."""
        self._ring.write(chunk)

    def level_dbfs(self, time_ns: int) -> float | None:
        """Level up to `time_ns`; None: it was not heard."""
        return level_dbfs(self._ring, time_ns)

    def spectrogram(self, time_ns: int, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB: time runs to the right and ends at `time_ns`, pitch upward."""
        end = time_ns // HOP_NS
        self._compute(end)
        oldest = end % self._columns  # column n and n - columns share a place
        picture = np.concatenate([self._pixels[:, oldest:], self._pixels[:, :oldest]], axis=1)
        late = end - (self._next or end)  # not heard yet
        if late > 0:
            picture[:, -late:] = 0
        scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.applyColorMap(scaled, _colours()), np.uint8)

    def _compute(self, end: int) -> None:
        """Fill the columns up to `end`, as far as the sound has come."""
        heard_ns = self._ring.end_time_ns
        heard = end if heard_ns is None else heard_ns // HOP_NS
        end = min(end, max(heard, end - _LATE_HOPS))
        if self._next is None or self._next > end + self._columns:  # time began anew
            self._pixels[:] = 0
            self._next = end - self._columns
        first = max(self._next, end - self._columns)
        if first < end:
            self._pixels[:, np.arange(first, end) % self._columns] = self._render(first, end)
        self._next = max(self._next, end)

    def _render(self, first: int, end: int) -> NDArray[np.uint8]:
        """(bands, columns) brightness of the columns [first, end)."""
        count = (end - first - 1) * _HOP + _SPAN
        start_ns = (first + 1) * HOP_NS - _SPAN * 1_000_000_000 // SAMPLE_RATE
        samples, heard = self._ring.read(start_ns, count)
        if not heard:
            return np.zeros((_BANDS, end - first), np.uint8)
        spans = np.lib.stride_tricks.sliding_window_view(samples, _SPAN)[::_HOP]
        power = np.abs(np.fft.rfft(spans * _window())) ** 2
        bands = np.maximum.reduceat(power, _edges(), axis=1).T
        low, high = _RANGE_DB
        shares = (10 * np.log10(bands + 1e-12) - low) / (high - low)
        pixels = (_SILENT + shares.clip(0, 1) * (255 - _SILENT)).astype(np.uint8)
        for column in np.flatnonzero(~spans[:, -_HOP:].any(axis=1)):
            if not self._ring.read((first + int(column)) * HOP_NS, _HOP).heard:
                pixels[:, column] = 0
        return pixels[::-1]


@lru_cache(maxsize=1)
def _window() -> NDArray[np.float32]:
    """(512,) Hann, scaled so that a full-scale sine is at 0 dB."""
    window = np.hanning(_SPAN)
    return (2 * window / window.sum()).astype(np.float32)


@lru_cache(maxsize=1)
def _edges() -> NDArray[np.intp]:
    """(bands,) the first bin of each: even steps of pitch, at least one bin each."""
    bins = np.geomspace(*_RANGE_HZ, _BANDS) * _SPAN / SAMPLE_RATE
    edges = np.maximum(bins.round().astype(np.intp), 1)
    return np.maximum(edges, edges[0] + np.arange(_BANDS))


@lru_cache(maxsize=1)
def _colours() -> NDArray[np.uint8]:
    """(256, 1, 3) RGB: magma, which every eye reads as brightness, out of the ink of the bars."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    magma = cv2.applyColorMap(ramp, cv2.COLORMAP_MAGMA)[..., ::-1]
    fade = np.clip(ramp[..., None] / 48, 0, 1)
    colours = magma * fade + np.array((26, 30, 40)) * (1 - fade)
    colours[0] = INK
    return np.ascontiguousarray(colours.round().astype(np.uint8))
