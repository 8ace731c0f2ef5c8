"""Where the sound comes from: azimuths by GCC-PHAT, ten times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamavis.bearing.channels import ChannelCheck
from streamavis.bearing.microphones import wrapped
from streamavis.bearing.smoothing import Smoother
from streamavis.bearing.spectra import Spectra, diffuse_coherence, direct_part
from streamavis.errors import ArgumentError, ShapeError
from streamavis.types import SoundBearing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.bearing.microphones import MicArray

__all__ = ["SoundDirection", "confidence_of"]

_NS: Final = 1_000_000_000
_STEP_DEG: Final = 2.0
_GAP_NS: Final = 20_000_000  # more missing than this: the past says nothing about what comes
_QUIET: Final = 10 ** (-75 / 20)  # RMS of full scale; below it there is no sound
_PAUSE: Final = 0.03  # of the loudest of late: a hop this quiet is a pause
_LOUDEST_KEEP: Final = 0.7  # from hop to hop: a pause ends after about 1 s
_RATES: Final = range(8_000, 400_000)  # Hz
# Peak of the summed GCC-PHAT -> chance that the azimuth is right, fitted in simulated rooms.
_HALF: Final = 0.05  # of two microphones; more pairs agree by chance less often
_MORE_PAIRS: Final = 0.4
_PAIRS: Final = 6  # beyond which more of them were not measured
_SLOPE: Final = 4.0


def confidence_of(peak: float, pairs: int = 1) -> float:
    """Chance, 0 to 1, that a sound comes from where the correlation has its peak.

    Args:
        peak: height of the summed correlation, 1 for one direction and nothing else.
        pairs: of microphones that were summed.
    """
    if peak <= 0:
        return 0.0
    half = _HALF / min(pairs, _PAIRS) ** _MORE_PAIRS
    return float(1 / (1 + (half / peak) ** _SLOPE))


class SoundDirection:
    """Finds the azimuth of what sounds, 10 times a second, or says that it is unknown.

    The generalised cross-correlation with phase transform (Knapp and Carter, IEEE Trans. ASSP 24,
    1976) of every pair is read at the delay that each azimuth would give, and summed. Every
    frequency counts as much as its sound comes from one direction (`spectra.direct_part`), so
    that diffuse noise and late reverberation do not count.

    Attributes:
        problem: what is wrong with the channels, one sentence; None while nothing is known to be.
    """

    def __init__(self, array: MicArray, rate: int) -> None:
        """Prepare for samples of `array` at `rate` Hz.

        Raises:
            ArgumentError: the rate is not 8 to 400 kHz, or the array gives no azimuth.
        """
        if rate not in _RATES:
            raise ArgumentError(f"rate is {rate} Hz, expected {_RATES.start} to {_RATES.stop} Hz")
        self.problem: str | None = None
        self._array = array
        self._rate = rate
        self._round = array.all_round
        self._spectra = Spectra(array, rate)
        self._azimuths = array.azimuths(_STEP_DEG)
        frequencies = self._spectra.frequencies
        self._diffuse = diffuse_coherence(array, frequencies)
        # Below some frequency diffuse noise and one direction look alike.
        weights = 1 - np.maximum(self._diffuse, 0) ** 2
        self._weights = weights / weights.sum()
        self._check = ChannelCheck(array, self._azimuths, frequencies, self._weights)
        self._steering = self._check.steering(tuple(range(len(array.positions))))
        self._smoother = Smoother()
        self._held: list[NDArray[np.float32]] = []
        self._held_samples = 0
        self._next_ns: int | None = None  # when the next sample is taken; None: nothing heard
        self._loudest = 0.0  # mean square of late

    def feed(self, samples: NDArray[np.float32], start_ns: int) -> list[SoundBearing]:
        """Take in samples; give a bearing for every 0.1 s that is complete.

        Args:
            samples: (n, microphones) in [-1, 1].
            start_ns: when the first was taken, stream clock.

        Raises:
            ShapeError: there are not as many channels as microphones.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self._array.positions):
            raise ShapeError(
                f"samples have shape {samples.shape}, expected (n, {len(self._array.positions)}): "
                f"a channel for each microphone of {self._array.name}"
            )
        if self._next_ns is not None and abs(start_ns - self._next_ns) > _GAP_NS:
            self.reset()
        self._held.append(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0))
        self._held_samples += len(samples)
        self._next_ns = start_ns + len(samples) * _NS // self._rate
        hop = self._spectra.hop
        if self._held_samples < hop:
            return []
        waiting = np.concatenate(self._held)
        whole = len(waiting) // hop * hop
        found = []
        for start in range(0, whole, hop):
            late = len(waiting) - start - hop  # samples after this hop
            time_ns = self._next_ns - late * _NS // self._rate
            found.append(self._hop(waiting[start : start + hop], time_ns))
        self._held, self._held_samples = [waiting[whole:]], len(waiting) - whole
        return found

    def reset(self) -> None:
        """Forget what was heard; what is known about the channels stays."""
        self._spectra.reset()
        self._smoother.reset()
        self._held, self._held_samples, self._loudest = [], 0, 0.0

    def _hop(self, samples: NDArray[np.float32], time_ns: int) -> SoundBearing:
        self._spectra.update(samples)
        level = float(np.mean(samples.astype(np.float64) ** 2))
        self._loudest = max(level, self._loudest * _LOUDEST_KEEP)
        peak, azimuth = 0.0, 0.0
        if level > max(_QUIET**2, _PAUSE * self._loudest):
            coherence = self._spectra.coherence
            direct = direct_part(coherence, self._diffuse)
            peak, azimuth = self._peak(direct)
            self.problem = self._check.update(coherence, direct, self._spectra.powers, peak)
        azimuth_now, confidence = self._smoother.update(
            azimuth, confidence_of(peak, len(self._weights))
        )
        if self._check.is_same:
            azimuth_now, confidence = None, 0.0
        return SoundBearing(time_ns=time_ns, azimuth=azimuth_now, confidence=confidence)

    def _peak(self, direct: NDArray[np.complex128]) -> tuple[float, float]:
        """Height and azimuth of the highest point of the summed correlation."""
        power = np.real(self._steering @ (direct * self._weights).ravel())
        best = int(power.argmax())
        before, after = best - 1, best + 1
        if self._round:
            after %= len(power)
        elif not 0 < best < len(power) - 1:
            return float(power[best]), wrapped(float(self._azimuths[best]))
        low, top, high = power[before], power[best], power[after]
        bend = low - 2 * top + high
        shift = 0.0 if bend >= 0 else 0.5 * (low - high) / bend
        return float(top), wrapped(float(self._azimuths[best] + shift * _STEP_DEG))
