"""Cross-spectra of an array's channels, and how much of the sound comes from one direction.

F: frequencies, P: pairs of microphones, M: microphones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from streamavis.bearing.microphones import SPEED_OF_SOUND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.bearing.microphones import MicArray

__all__ = ["Spectra", "diffuse_coherence", "direct_part"]

_WINDOW_S: Final = 0.032
_BANDS_HZ: Final = (200.0, 7_000.0)  # of speech and most machines
_MEMORY_S: Final = 0.25  # time constant of the recursive average
_STEPS: Final = 8  # windows to a hop
_LEAST: Final = 1e-20


class Spectra:
    """Averages the cross-spectra of an array's channels, recursively.

    Each window's power is compressed by its square root, so that one loud event does not hide
    what sounds after it for the length of the average.

    Attributes:
        frequencies: (F,) Hz.
        hop: samples to one update, 0.1 s.
    """

    def __init__(self, array: MicArray, rate: int) -> None:
        """Start with nothing heard.

        Args:
            array: says how many channels there are.
            rate: of the samples, Hz.
        """
        self._first = np.array([pair[0] for pair in array.pairs])
        self._second = np.array([pair[1] for pair in array.pairs])
        step = rate // (10 * _STEPS)
        self.hop = step * _STEPS
        self._size = round(_WINDOW_S * rate)
        self._window = np.hanning(self._size + 1)[:-1].astype(np.float32)
        every = np.fft.rfftfreq(self._size, 1 / rate).astype(np.float64)
        top = min(_BANDS_HZ[1], 0.45 * rate)
        self._bins = np.flatnonzero((every >= _BANDS_HZ[0]) & (every <= top))
        self.frequencies: NDArray[np.float64] = every[self._bins]
        self._starts = step * np.arange(_STEPS)[:, None] + np.arange(self._size)[None]
        self._past = np.zeros((self._size, len(array.positions)), np.float32)
        self._keep = math.exp(-self.hop / (_MEMORY_S * rate))
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        pairs, bins, channels = len(self._first), len(self._bins), self._past.shape[1]
        self._past[:] = 0
        self._cross = np.zeros((pairs, bins), np.complex128)
        self._power = np.zeros((channels, bins))

    def update(self, samples: NDArray[np.float32]) -> None:
        """Take in (hop, M) samples that follow the last ones."""
        heard = np.concatenate([self._past, samples])
        self._past = heard[-self._size :]
        windows = heard[self._starts + self.hop - self._starts[-1, 0]]  # (steps, size, M)
        spectra = np.fft.rfft(windows * self._window[None, :, None], axis=1)[:, self._bins]
        powers = np.abs(spectra) ** 2  # (steps, F, M)
        compress = 1 / np.sqrt(powers.mean(axis=2) + _LEAST)  # (steps, F)
        self._power = self._keep * self._power + np.einsum("sfm,sf->mf", powers, compress)
        pairs = spectra[:, :, self._first] * spectra[:, :, self._second].conj()
        self._cross = self._keep * self._cross + np.einsum("sfp,sf->pf", pairs, compress)

    @property
    def coherence(self) -> NDArray[np.complex128]:
        """(P, F) complex coherence of every pair, magnitude 0 to 1."""
        norm = np.sqrt(self._power[self._first] * self._power[self._second])
        return np.asarray(self._cross / np.maximum(norm, _LEAST))

    @property
    def powers(self) -> NDArray[np.float64]:
        """(M,) how loud each channel is within the band, by the same average."""
        return np.asarray(self._power.sum(axis=1))


def direct_part(
    coherence: NDArray[np.complex128], diffuse: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """The share of one direction in the sound, with its phase.

    The coherent-to-diffuse power ratio without knowledge of the direction (Schwarz and Kellermann,
    IEEE/ACM Trans. Audio Speech Lang. Process. 23, 2015, eq. 25). In diffuse noise the coherence
    is that of `diffuse`, real and near 1 at low frequencies; plain GCC-PHAT takes that for sound
    from the front.

    Args:
        coherence: (P, F), as measured.
        diffuse: (P, F), what diffuse noise has: sin(x) / x with x = 2 pi f d / c.

    Returns:
        (P, F), magnitude 0 (diffuse) to 1 (one direction).
    """
    square = np.minimum(np.abs(coherence) ** 2, 0.9999)
    real = coherence.real
    root = diffuse**2 * real**2 - diffuse**2 * square + diffuse**2 - 2 * diffuse * real + square
    ratio = (diffuse * real - square - np.sqrt(np.maximum(root, 0))) / (square - 1)
    ratio = np.maximum(ratio, 0)
    share = ratio / (1 + ratio)
    rest = coherence - (1 - share) * diffuse
    return np.asarray(share * rest / np.maximum(np.abs(rest), _LEAST))


def diffuse_coherence(array: MicArray, frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, F): coherence of every pair of microphones in diffuse noise."""
    places = array.coordinates
    apart = np.array([np.linalg.norm(places[i] - places[j]) for i, j in array.pairs])
    return np.sinc(2 * frequencies[None] * apart[:, None] / SPEED_OF_SOUND)
