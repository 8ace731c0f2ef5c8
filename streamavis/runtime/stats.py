"""Latencies per stage as percentiles, in constant memory however long a stream runs."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from streamavis.types import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamavis.status import LatencySummary

__all__ = ["LatencyHistogram", "Snapshot", "StreamStatistics"]

_MANTISSA_BITS = 7  # 128 buckets an octave: a percentile is at most 1/128 too high
_OCTAVES = 48  # up to 2**48 ns, 78 hours; longer ones count in the last bucket


class Snapshot(TypedDict):
    """Everything `StreamStatistics` knows, as plain values."""

    stages: dict[str, LatencySummary]  # Stage, "total" and whatever else was recorded
    counters: dict[str, int]


class LatencyHistogram:
    """Nanosecond durations in logarithmic buckets (as HdrHistogram does); 44 KiB, never grows.

    Not thread-safe; `StreamStatistics` is.
    """

    def __init__(self) -> None:
        self._buckets = np.zeros((_OCTAVES - _MANTISSA_BITS + 1) << _MANTISSA_BITS, np.int64)
        self._count = 0
        self._sum_ns = 0
        self._max_ns = 0

    def record(self, ns: int) -> None:
        """Count one duration; a negative one counts as 0."""
        ns = max(ns, 0)
        octave = max(ns.bit_length() - _MANTISSA_BITS - 1, 0)
        bucket = (octave << _MANTISSA_BITS) + (ns >> octave)
        self._buckets[min(bucket, len(self._buckets) - 1)] += 1
        self._count += 1
        self._sum_ns += ns
        self._max_ns = max(self._max_ns, ns)

    def percentile_ns(self, percent: float) -> int:
        """The smallest recorded duration that `percent` of all do not exceed, to 1/128; 0 if none.

        Rounded up to its bucket's end, never above the maximum.
        """
        if not self._count:
            return 0
        rank = max(1, int(np.ceil(self._count * percent / 100)))
        bucket = int(np.searchsorted(np.cumsum(self._buckets), rank))
        octave = max((bucket >> _MANTISSA_BITS) - 1, 0)
        last_ns = ((bucket - (octave << _MANTISSA_BITS) + 1) << octave) - 1
        return min(last_ns, self._max_ns)

    def summary(self) -> LatencySummary:
        """Count, mean, percentiles and maximum."""
        return {
            "count": self._count,
            "mean_ms": self._sum_ns / max(self._count, 1) / 1e6,
            "p50_ms": self.percentile_ns(50) / 1e6,
            "p95_ms": self.percentile_ns(95) / 1e6,
            "p99_ms": self.percentile_ns(99) / 1e6,
            "max_ms": self._max_ns / 1e6,
        }


class StreamStatistics:
    """Latency per stage and named counters of one stream; any thread may write and read."""

    def __init__(self) -> None:
        self._histograms: dict[str, LatencyHistogram] = {}
        self._counters: Counter[str] = Counter()
        self._lock = threading.Lock()

    def observe(self, stamps: Mapping[str, int]) -> None:
        """Record one result's stamps (Stage -> monotonic ns).

        The latency of a stage is the time since the stamp before it, `total` that from the first
        to the last. Stages without a stamp are skipped.
        """
        taken = [(stage, stamps[stage]) for stage in Stage if stage in stamps]
        with self._lock:
            for (_, before), (stage, after) in pairwise(taken):
                self._histogram(stage).record(after - before)
            if len(taken) > 1:
                self._histogram("total").record(taken[-1][1] - taken[0][1])

    def record(self, name: str, ns: int) -> None:
        """Record one duration under a name of its own, such as `lateness`."""
        with self._lock:
            self._histogram(name).record(ns)

    def count(self, name: str, n: int = 1) -> None:
        """Raise a counter by `n`."""
        with self._lock:
            self._counters[name] += n

    def snapshot(self) -> Snapshot:
        """All summaries and counters at one moment, ready for JSON."""
        with self._lock:
            stages = {str(name): h.summary() for name, h in self._histograms.items()}
            return {"stages": stages, "counters": dict(self._counters)}

    def _histogram(self, name: str) -> LatencyHistogram:
        histogram = self._histograms.get(name)
        if histogram is None:
            histogram = self._histograms[name] = LatencyHistogram()
        return histogram
