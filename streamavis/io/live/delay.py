"""How far sound lags behind pictures: measured where it arrives."""

from __future__ import annotations

import math
import threading
from collections import deque

__all__ = ["DelayMeter"]

_HOP_NS = 10_000_000
_SLACK_NS = 1_000_000  # a millisecond late is not worth a hop
_REMEMBERED = 512  # chunks: about 5 s of a microphone
_EVERY = 64  # chunks between two looks at them
_SHARE = 0.95


class DelayMeter:
    """The delay that 95 % of the sound keeps, rounded up to a 10 ms hop, at most `longest_s`.

    Just before a chunk arrives, sound has been heard up to where that chunk begins; so the age
    of its first sample is what a picture taken now would have to wait. The delay rises and
    falls as it is measured anew, with a millisecond of slack, so that it does not swing.
    """

    def __init__(self, longest_s: float = 0.06) -> None:
        self._most_hops = round(longest_s * 100)
        self._ages_ns: deque[int] = deque(maxlen=_REMEMBERED)
        self._seen = 0
        self._hops = 0
        self._lock = threading.Lock()

    @property
    def delay_s(self) -> float:
        """Seconds, a multiple of 0.01."""
        return self._hops / 100

    @property
    def measured_s(self) -> float:
        """The age that 95 % of the chunks' first samples do not exceed; not rounded, not cut."""
        with self._lock:
            return self._age_ns() / 1e9

    def observe(self, start_time_ns: int, arrival_ns: int) -> None:
        """A chunk that begins at `start_time_ns` arrived."""
        with self._lock:
            self._ages_ns.append(arrival_ns - start_time_ns)
            self._seen += 1
            if self._seen % _EVERY and self._seen > 8:
                return
            age_ns = self._age_ns()
            least = self._hops_of(age_ns - _SLACK_NS)
            most = self._hops_of(age_ns + _SLACK_NS)
            self._hops = min(max(self._hops, least), most)

    def _age_ns(self) -> int:
        ordered = sorted(self._ages_ns)
        return ordered[min(int(_SHARE * len(ordered)), len(ordered) - 1)] if ordered else 0

    def _hops_of(self, age_ns: int) -> int:
        return min(max(math.ceil(age_ns / _HOP_NS), 0), self._most_hops)
