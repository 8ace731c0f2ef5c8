"""Claps of a rig: moments at which a camera sees a flash and a speaker makes a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Claps"]

_NS = 1_000_000_000
_FLASH_NS = 120_000_000
_SPREAD_S = 0.3  # claps fall anywhere in the first part of a second: no phase with the pictures
_CLICK_S = 0.04
_DECAY_S = 0.008
_PITCH_HZ = 2_000.0


class Claps:
    """One clap in each second of a monotonic clock, at moments nobody can guess from the others.

    Both sides are functions of time: the caller gives the time.
    """

    def __init__(self, seed: int = 0) -> None:
        """Draw the moments from `seed`."""
        self._seed = seed

    def moment_s(self, second: int) -> float:
        """When the clap of this second of the clock happens, in seconds of the clock."""
        random = np.random.default_rng((self._seed, second))
        return second + float(random.uniform(0.0, _SPREAD_S))

    def lit(self, time_ns: int) -> bool:
        """Whether a picture taken now shows the flash, which begins with the clap."""
        since_ns = time_ns - round(self.moment_s(time_ns // _NS) * _NS)
        return 0 <= since_ns < _FLASH_NS

    def sound(self, times_s: NDArray[np.float64]) -> NDArray[np.float32]:
        """(n,) samples at these times: clicks that begin with the claps, else silence."""
        samples = np.zeros(len(times_s), np.float32)
        if not len(times_s):
            return samples
        for second in range(int(times_s[0]), int(times_s[-1]) + 1):
            since = times_s - self.moment_s(second)
            on = (since >= 0) & (since < _CLICK_S)
            wave = np.cos(2 * np.pi * _PITCH_HZ * since[on]) * np.exp(-since[on] / _DECAY_S)
            samples[on] = 0.8 * wave
        return samples
