"""Sound at a device's rate and time to 16 kHz chunks that lie steadily on the engine's clock."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from streamavis.io.resample import MonoResampler
from streamavis.types import AudioChunk, AudioGap

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SteadySound"]

_NS = 1_000_000_000
_TAPS = 16
_PHASES = 256
_SLEW = 0.005  # of a block's length: how fast it may drift back to where it belongs
_JUMP_NS = 20_000_000  # further off than this it is cut, not drifted


def _kernel() -> NDArray[np.float32]:
    """(PHASES + 1, TAPS): sinc under a Kaiser window, for every fraction of a sample."""
    fraction = np.arange(_PHASES + 1)[:, None] / _PHASES
    offset = np.arange(_TAPS)[None] - (_TAPS // 2 - 1) - fraction  # of each tap from the point
    window = np.i0(8.0 * np.sqrt(np.clip(1 - (offset / (_TAPS / 2)) ** 2, 0, None))) / np.i0(8.0)
    taps = np.sinc(offset) * window
    return (taps / taps.sum(1, keepdims=True)).astype(np.float32)


_KERNEL = _kernel()


class SteadySound:
    """Interpolates samples onto an even grid of the engine's clock, then resamples them.

    A card that is 50 ppm fast gives 180 ms too much an hour. Cutting that out in pieces would
    tear the sound; instead each sample's place in time is followed exactly (a windowed sinc of 16
    taps, flat to 0.85 of the Nyquist rate), by at most 0.5 % of stretching while a correction
    is made. What is off by over 20 ms is a gap, or sound twice, whose second time is dropped.
    """

    def __init__(self, rate: int) -> None:
        """Take samples at `rate` Hz."""
        self._rate = rate
        self._resampler = MonoResampler()
        self._tail = np.zeros(_TAPS - 1, np.float32)  # the samples before the next block
        self._origin_ns: int | None = None  # grid point 0 on the clock; None: nothing heard
        self._points = 0  # given of the grid
        self._end = 0.0  # ns after the origin: where the next block begins as things were going

    def feed(
        self, samples: NDArray[np.float32], start_ns: int, period_ns: float, lost: str = ""
    ) -> list[AudioChunk | AudioGap]:
        """Place a block.

        Args:
            samples: (n,) mono, at the device's rate.
            start_ns: when the first was taken, on the engine's clock.
            period_ns: time from one to the next.
            lost: why sound is missing before it; "" where none is known to be.
        """
        items: list[AudioChunk | AudioGap] = []
        if not len(samples):
            return items
        if self._origin_ns is None:
            self._begin(samples, start_ns)
        assert self._origin_ns is not None, "just begun"
        error = (start_ns - self._origin_ns) - self._end
        if lost or abs(error) > _JUMP_NS:
            items += self._resampler.flush()
            if error < 0:
                skipped = min(round(-error / period_ns), len(samples))
                samples = samples[skipped:]
                start_ns += round(skipped * period_ns)
                if not len(samples):
                    return items
            if lost or error > 0:
                end_ns = self._origin_ns + round(self._end)
                items.append(AudioGap(end_ns, max(0, start_ns - end_ns), lost or "loss"))
            self._begin(samples, start_ns)
            error = 0.0
        slew = _SLEW * len(samples) * period_ns
        length = len(samples) * period_ns + min(max(error, -slew), slew)
        items += self._resample(self._interpolate(samples, length))
        self._end += length
        return items

    def _begin(self, samples: NDArray[np.float32], start_ns: int) -> None:
        self._origin_ns = start_ns
        self._points, self._end = 0, 0.0
        self._tail[:] = samples[0]

    def _interpolate(self, samples: NDArray[np.float32], length: float) -> NDArray[np.float32]:
        """The grid's points within `length` ns from the block's beginning, half a kernel late."""
        period = length / len(samples)
        late = (_TAPS // 2) * period  # points near the end wait for the samples after them
        step = _NS / self._rate
        stop = int(np.ceil((self._end - late + length) / step))
        points = np.arange(self._points, max(self._points, stop))
        self._points = max(self._points, stop)
        place = (points * step - (self._end - late)) / period  # samples after the block's begin
        whole = np.floor(place).astype(np.int64)
        phase = (place - whole) * _PHASES
        row = phase.astype(np.int64)
        weight = (phase - row).astype(np.float32)[:, None]
        taps = _KERNEL[row] * (1 - weight) + _KERNEL[np.minimum(row + 1, _PHASES)] * weight
        heard = np.concatenate([self._tail, samples])
        self._tail = heard[-(_TAPS - 1) :].copy()
        windows = np.lib.stride_tricks.sliding_window_view(heard, _TAPS)
        whole = np.clip(whole, 0, len(windows) - 1)
        result: NDArray[np.float32] = np.einsum("nt,nt->n", windows[whole], taps)
        return result

    def _resample(self, even: NDArray[np.float32]) -> list[AudioChunk]:
        if not len(even) or self._origin_ns is None:
            return []
        first = self._points - len(even)
        start_s = Fraction(self._origin_ns, _NS) + Fraction(first, self._rate)
        frame = av.AudioFrame.from_ndarray(even[None], format="fltp", layout="mono")
        frame.sample_rate = self._rate
        return self._resampler.feed(frame, start_s)
