"""Bearings of the sound that an array of microphones records, beside its mono mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamavis.bearing.direction import SoundDirection
from streamavis.errors import InputError
from streamavis.io.resample import ChannelConverter
from streamavis.io.unusable import UNUSABLE
from streamavis.types import SoundBearing, SourceEvent

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

    from streamavis.bearing.microphones import MicArray

__all__ = ["ArraySound", "check_channels"]

_NS: Final = 1_000_000_000
_OFF_NS: Final = 100_000_000  # a stamp that is further off than this begins anew
_SLEW: Final = 0.1  # of what a stamp is off, that is made up for with each block


class ArraySound:
    """Follows one recording; blocks whose stamps jitter by up to 0.1 s follow each other.

    What is wrong with its channels is reported as an event of the microphone, once.
    """

    def __init__(self, array: MicArray, name: str) -> None:
        """Prepare; `name` is the source's, for people."""
        self._array = array
        self._name = name
        self._converter = ChannelConverter()
        self._finder: SoundDirection | None = None
        self._rate = 0
        self._next_ns: int | None = None
        self._problem: str | None = None

    def frame(self, frame: av.AudioFrame, start_ns: int | None) -> list[SoundBearing | SourceEvent]:
        """Take a decoded frame; nothing of one that cannot be converted.

        Args:
            frame: of any format; its channels are the microphones.
            start_ns: when its first sample was taken; None: where the last frame ended.
        """
        try:
            samples = self._converter.convert(frame)
        except UNUSABLE:
            return []
        return self.block(samples, frame.sample_rate, start_ns)

    def block(
        self, samples: NDArray[np.float32], rate: int, start_ns: int | None
    ) -> list[SoundBearing | SourceEvent]:
        """Take (n, channels) samples at `rate` Hz.

        Args:
            samples: in [-1, 1].
            rate: Hz; where it changes, it begins anew.
            start_ns: as for `frame`.
        """
        if samples.shape[1] < self._array.needed_channels or not len(samples):
            return []
        if self._finder is None or rate != self._rate:
            self._finder = SoundDirection(self._array, rate)
            self._rate, self._next_ns = rate, None
        due_ns = self._next_ns
        if start_ns is None:
            start_ns = 0 if due_ns is None else due_ns
        elif due_ns is not None and abs(off_ns := start_ns - due_ns) <= _OFF_NS:
            start_ns = due_ns + round(_SLEW * off_ns)
        self._next_ns = start_ns + len(samples) * _NS // rate
        found: list[SoundBearing | SourceEvent] = []
        found += self._finder.feed(self._array.pick(samples), start_ns)
        problem = self._finder.problem
        if problem is not None and problem != self._problem:
            found.append(SourceEvent(self._name, "audio", "running", self._next_ns, problem))
        self._problem = problem
        return found


def check_channels(array: MicArray, channels: int, name: str) -> None:
    """Refuse a recording with fewer channels than the array needs.

    Raises:
        InputError: it has fewer; names both numbers.
    """
    if channels < array.needed_channels:
        raise InputError(
            f"{name}: has {channels} channel{'' if channels == 1 else 's'} of sound, but "
            f"{array.name} needs {array.needed_channels}; record every microphone by itself"
        )
