"""Whether an array's channels are what its description says: order, silence, copies."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from streamavis.bearing.microphones import MicArray

__all__ = ["ChannelCheck", "orders"]

_EXHAUSTIVE: Final = 5  # microphones, up to which every order is tried
_EVERY: Final = 3  # updates to one trial of the other orders
_LEAST_PEAK: Final = 0.06  # of the best order, for a trial to count
_TRIALS: Final = 15  # that count, before anything is said
_BETTER: Final = 1.3  # another order's mean peak against the declared one's
_SAME: Final = 0.9995  # coherence of two channels that are copies
_SILENT: Final = 1e-4  # of the loudest channel's power: 40 dB less
_PATIENCE: Final = 20  # updates in a row before a copy or a silent channel is told
_SMALL: Final = 1e-6


class ChannelCheck:
    """Collects evidence about the channels while somebody speaks.

    Orders that differ from the declared one by a symmetry of the array (a turned ring, left and
    right of stereo) give the same correlations; nothing but a known direction tells those apart.

    Attributes:
        is_same: two channels are copies of each other, so no direction can be known.
    """

    def __init__(
        self,
        array: MicArray,
        azimuths: NDArray[np.float64],
        frequencies: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Prepare.

        Args:
            array: as declared.
            azimuths: (A,) degrees, that are searched.
            frequencies: (F,) Hz.
            weights: (pairs, F) of the correlation's terms.
        """
        self.is_same = False
        self._array = array
        self._delays = array.delays(azimuths)  # (A, M)
        self._frequencies = frequencies
        self._weights = weights
        self._orders = list(orders(array))
        self._others = [self.steering(order) for order in self._orders]
        self._sums = np.zeros(1 + len(self._orders))
        self._wins = np.zeros(1 + len(self._orders), int)
        self._trials = 0
        self._updates = 0
        self._copies = 0
        self._mute = 0
        self._problem: str | None = None

    def steering(self, order: tuple[int, ...]) -> NDArray[np.complex64]:
        """(A, pairs x F): what the correlation is read with if channel c is microphone order[c]."""
        rows = []
        for first, second in self._array.pairs:
            late = self._delays[:, order[first]] - self._delays[:, order[second]]
            rows.append(np.exp(2j * np.pi * self._frequencies[None] * late[:, None]))
        return np.concatenate(rows, axis=1).astype(np.complex64)

    def update(
        self,
        coherence: NDArray[np.complex128],
        direct: NDArray[np.complex128],
        powers: NDArray[np.float64],
        peak: float,
    ) -> str | None:
        """Take in what is heard now; say what is wrong, if anything is.

        Args:
            coherence: (pairs, F) complex.
            direct: (pairs, F), see `spectra.direct_part`.
            powers: (M,) of each channel.
            peak: of the declared order.
        """
        self._look_for_copies(coherence)
        self._look_for_silence(powers)
        self._updates += 1
        if self._orders and self._updates % _EVERY == 0 and not self.is_same:
            self._try_orders((direct * self._weights).ravel(), peak)
        return self._problem

    def _look_for_copies(self, coherence: NDArray[np.complex128]) -> None:
        alike = np.abs(coherence).min(axis=1) > _SAME
        self._copies = self._copies + 1 if alike.any() else 0
        if self._copies >= _PATIENCE:
            first, second = self._array.pairs[int(alike.argmax())]
            self.is_same = True
            self._problem = (
                f"channels {first + 1} and {second + 1} carry the same sound, so its direction is "
                "unknown; record every microphone by itself, not a mono mix"
            )
        elif self.is_same and not alike.any():
            self.is_same, self._problem = False, None

    def _look_for_silence(self, powers: NDArray[np.float64]) -> None:
        silent = powers < _SILENT * powers.max()
        self._mute = self._mute + 1 if silent.any() else 0
        if self._mute >= _PATIENCE:
            self._problem = (
                f"channel {int(silent.argmax()) + 1} is silent while the others are not; check its "
                "microphone, or the number of microphones"
            )

    def _try_orders(self, terms: NDArray[np.complex128], peak: float) -> None:
        peaks = np.array([peak, *(float(np.real(other @ terms).max()) for other in self._others)])
        if peaks.max() < _LEAST_PEAK:
            return
        self._sums += peaks
        self._wins[int(peaks.argmax())] += 1
        self._trials += 1
        best = int(self._sums.argmax())
        if self._trials < _TRIALS or best == 0 or self._wins[best] < 0.7 * self._trials:
            return
        if self._sums[best] > _BETTER * self._sums[0]:
            order = ", ".join(str(place + 1) for place in self._orders[best - 1])
            self._problem = (
                "the channels do not fit the declared positions; in the order they come they fit "
                f"microphones {order} (or the same turned): correct the order of positions"
            )


def orders(array: MicArray) -> Iterator[tuple[int, ...]]:
    """Orders of the microphones that sound can tell from the declared one, one of each kind.

    All of them for up to 5 microphones; beyond that those in which two are exchanged.
    """
    places = array.coordinates
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    count = len(places)
    everything: Iterator[tuple[int, ...]]
    if count <= _EXHAUSTIVE:
        everything = itertools.permutations(range(count))
    else:
        everything = (
            tuple(second if n == first else first if n == second else n for n in range(count))
            for first, second in array.pairs
        )
    seen = [apart]
    for order in everything:
        index = np.array(order)
        distances = apart[np.ix_(index, index)]
        if not any(np.abs(distances - other).max() < _SMALL for other in seen):
            seen.append(distances)
            yield order
