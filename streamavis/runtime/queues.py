"""Bounded queues between a source's thread and the engine, each with a named policy.

Several queues may share one condition, so that an engine can wait for all of them at once.
Both enter every frame into the stream's `FrameLedger`; what waits or was taken is unfinished there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from streamavis.errors import ArgumentError
from streamavis.runtime.ledger import DropCause, FrameLedger
from streamavis.types import VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.clock import Clock
    from streamavis.types import SourceItem

__all__ = ["LiveQueue", "ReplayQueue"]


class _FrameQueue:
    """What both policies share: the items, the end of the stream, the lock."""

    def __init__(
        self, ledger: FrameLedger | None, changed: threading.Condition | None = None
    ) -> None:
        self.ledger = ledger or FrameLedger()
        self._items: deque[SourceItem] = deque()
        self._changed = changed or threading.Condition()
        self._closed = False
        self._cancelled = False
        self._error: BaseException | None = None

    def close(self) -> None:
        """Producer: nothing more comes. What waits is still delivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Producer: the source broke. What waits is still delivered, then `get` raises `error`."""
        with self._changed:
            if not self._closed:
                self._error = error
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Consumer: nothing more is wanted. Both sides wake; what waits is dropped."""
        with self._changed:
            self._closed = self._cancelled = True
            self._error = None
            while self._items:
                self._drop(self._items.popleft(), DropCause.CANCELLED)
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """True once nothing waits and nothing can come."""
        with self._changed:
            return self._closed and not self._items

    @property
    def ready(self) -> bool:
        """True when `get` would return at once: with an item, the end or an error."""
        with self._changed:
            return bool(self._items) or self._closed

    @property
    def waiting(self) -> int:
        """Frames that wait."""
        with self._changed:
            return sum(isinstance(item, VideoFrame) for item in self._items)

    def _take(self, timeout_s: float | None) -> SourceItem | None:
        """The oldest item; None at the end or after `timeout_s`. Needs the lock."""
        self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
        if self._items:
            item = self._items.popleft()
            self._changed.notify_all()
            return item
        if self._error is not None:
            raise self._error
        return None

    def _drop(self, item: SourceItem, cause: DropCause) -> None:
        if isinstance(item, VideoFrame):
            self.ledger.drop(cause)


class ReplayQueue(_FrameQueue):
    """Every item in order: a full queue blocks its producer, nothing is ever dropped.

    (Only `cancel`, the consumer leaving, drops what it did not take.)
    """

    def __init__(
        self,
        capacity: int = 8,
        *,
        ledger: FrameLedger | None = None,
        changed: threading.Condition | None = None,
    ) -> None:
        """Hold at most `capacity` >= 1 items; `changed` is notified of every change.

        Frames are counted in `ledger`, by default one of the queue's own.

        Raises:
            ArgumentError: `capacity` is below 1.
        """
        if capacity < 1:
            raise ArgumentError(f"a queue holds at least one item, got capacity={capacity}")
        super().__init__(ledger, changed)
        self._capacity = capacity

    def put(self, item: SourceItem) -> bool:
        """Add an item, waiting for room; False when the queue was closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if isinstance(item, VideoFrame):
                if self._closed:
                    self.ledger.refuse(DropCause.CANCELLED)
                    return False
                self.ledger.capture()
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout_s: float | None = None) -> SourceItem | None:
        """Take the next item; None at the end (see `ended`) or after `timeout_s`.

        Raises:
            BaseException: what the producer gave to `fail`, after everything was delivered.
        """
        with self._changed:
            return self._take(timeout_s)


class LiveQueue(_FrameQueue):
    """The freshest frame only, and none that is stale. Sound does not pass here: it is never
    dropped and goes straight to the `AudioRing`.

    One frame waits at most. A newer one supersedes it; when its turn comes and it is older
    than the budget it is dropped before any work is spent on it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        staleness_s: float = 0.5,
        stride: Callable[[], int] = lambda: 1,
        ledger: FrameLedger | None = None,
        changed: threading.Condition | None = None,
    ) -> None:
        """Drop frames whose `capture_time_ns` is over `staleness_s` behind `clock`.

        Args:
            clock: also that of the frames.
            staleness_s: how old a frame may be when its turn comes.
            stride: asked at every frame; only each n-th is kept.
            ledger: where frames are counted; by default one of the queue's own.
            changed: notified of every change.
        """
        super().__init__(ledger, changed)
        self._clock = clock
        self._stride = stride
        self._staleness_ns = round(staleness_s * 1e9)

    def put(self, frame: VideoFrame) -> bool:
        """Offer a frame, never waiting; False when the queue was closed."""
        with self._changed:
            if self._closed:
                self.ledger.refuse(DropCause.CANCELLED)
                return False
            if self.ledger.capture() % max(1, self._stride()):
                self._drop(frame, DropCause.SKIPPED)
                return True
            while self._items:
                self._drop(self._items.popleft(), DropCause.SUPERSEDED)
            self._items.append(frame)
            self._changed.notify_all()
            return True

    def get(self, timeout_s: float | None = None) -> VideoFrame | None:
        """Take the freshest frame; None at the end (see `ended`) or after `timeout_s`.

        Raises:
            BaseException: what the producer gave to `fail`, after everything was delivered.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                frame = self._take(left)
                if not isinstance(frame, VideoFrame):
                    return None
                if self._clock.now_ns() - frame.capture_time_ns <= self._staleness_ns:
                    return frame
                self._drop(frame, DropCause.STALE)
