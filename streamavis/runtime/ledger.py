"""What became of every frame of a stream, counted in one place."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["DropCause", "FrameCounts", "FrameLedger"]


class DropCause(StrEnum):
    """Why a captured frame was not processed."""

    STALE = "stale"  # older than its budget when its turn came
    SUPERSEDED = "superseded"  # replaced by a newer frame before its turn
    SKIPPED = "skipped"  # every n-th frame only, to save time: see `streamavis.runtime.governor`
    CANCELLED = "cancelled"  # the consumer had stopped
    BROKEN = "broken"  # it was no picture
    MODEL = "model"  # the model failed on it, or is given up for now
    FAILED = "failed"  # the stream ended over it


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """A ledger at one moment: `captured == processed + dropped.total() + unfinished`."""

    captured: int
    processed: int
    dropped: Counter[DropCause]

    @property
    def unfinished(self) -> int:
        """Frames that wait in a queue or are at work."""
        return self.captured - self.processed - self.dropped.total()


class FrameLedger:
    """Counts captured, processed and dropped frames; any thread may write and read."""

    def __init__(self) -> None:
        self._captured = 0
        self._processed = 0
        self._dropped: Counter[DropCause] = Counter()
        self._closed = False
        self._lock = threading.Lock()

    def capture(self) -> int:
        """A frame came; returns how many have come."""
        with self._lock:
            self._captured += 1
            return self._captured

    def process(self) -> None:
        """A captured frame has its result."""
        with self._lock:
            self._processed += 1

    def drop(self, cause: DropCause) -> None:
        """A captured frame gets no result."""
        with self._lock:
            self._dropped[cause] += 1

    def refuse(self, cause: DropCause) -> None:
        """A frame came and is dropped at once."""
        with self._lock:
            self._captured += 1
            self._dropped[cause] += 1

    def close(self) -> None:
        """The stream is over: what is unfinished counts as `failed` from now on."""
        with self._lock:
            self._closed = True

    @property
    def counts(self) -> FrameCounts:
        """A consistent copy."""
        with self._lock:
            counts = FrameCounts(self._captured, self._processed, self._dropped.copy())
            if self._closed and counts.unfinished:
                counts.dropped[DropCause.FAILED] += counts.unfinished
            return counts
