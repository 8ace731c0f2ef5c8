"""Clocks are passed in, so that a test can hold time still.

Every time is int64 nanoseconds on a monotonic clock; wall time never appears here.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from streamavis.errors import ArgumentError

__all__ = [
    "MAX_GAP_FRAMES",
    "MAX_GAP_S",
    "RESTART_NS",
    "Clock",
    "ManualClock",
    "MonotonicClock",
    "PausableClock",
]

# One policy for everything that reads, hears, tracks or records a stream.
# A stamp that steps back by less is jitter: what it belongs to follows what came before. One that
# steps back by as much begins anew: the source's clock was set, or another recording follows.
RESTART_NS = 1_000_000_000
# Without a frame for longer than this, and continuity is lost; or
MAX_GAP_S = 5.0
# for this many frame periods, where that is longer.
MAX_GAP_FRAMES = 5

# A waiter on a manual clock looks this often whether it was cancelled: an Event cannot notify
# the clock's condition.
_CANCEL_POLL_S = 0.005
_PAUSE_POLL_S = 0.1  # likewise while a clock is paused


class Clock(Protocol):
    """What the runtime asks of time."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary origin, never going back."""

    def wait_until(self, t_ns: int, cancelled: threading.Event) -> bool:
        """Block until `t_ns`; True when it is reached, False when `cancelled` was set."""


class MonotonicClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def wait_until(self, t_ns: int, cancelled: threading.Event) -> bool:
        """Block until `t_ns`; True when it is reached, False when `cancelled` was set."""
        while not cancelled.is_set():
            left_ns = t_ns - time.monotonic_ns()
            if left_ns <= 0:
                return True
            cancelled.wait(left_ns / 1e9)
        return False


class PausableClock:
    """A clock that can stand still: whoever paces by it pauses, and nothing is late afterwards."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Follow `clock`, the machine's monotonic one by default."""
        self._clock = clock or MonotonicClock()
        self._lost_ns = 0  # spent in pauses that are over
        self._paused_ns: int | None = None  # when the pause began; None: there is none
        self._changed = threading.Condition()

    def pause(self, on: bool) -> None:
        """Stand still from now on, or go on."""
        with self._changed:
            now_ns = self._clock.now_ns()
            if on and self._paused_ns is None:
                self._paused_ns = now_ns
            elif not on and self._paused_ns is not None:
                self._lost_ns += now_ns - self._paused_ns
                self._paused_ns = None
            self._changed.notify_all()

    def now_ns(self) -> int:
        """Nanoseconds of the clock that were not spent in a pause."""
        with self._changed:
            now_ns = self._clock.now_ns() if self._paused_ns is None else self._paused_ns
            return now_ns - self._lost_ns

    def wait_until(self, t_ns: int, cancelled: threading.Event) -> bool:
        """Block until `t_ns` and while paused; False when `cancelled` was set."""
        while True:
            with self._changed:
                while self._paused_ns is not None:
                    if cancelled.is_set():
                        return False
                    self._changed.wait(_PAUSE_POLL_S)  # nobody notifies when `cancelled` is set
                lost_ns = self._lost_ns
            if not self._clock.wait_until(t_ns + lost_ns, cancelled):
                return False
            with self._changed:
                if self._paused_ns is None and self._lost_ns == lost_ns:
                    return True


class ManualClock:
    """A clock that moves only when told to, for tests; safe to share between threads."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._awaited: list[int] = []  # one entry per thread in `wait_until`
        self._changed = threading.Condition()

    def now_ns(self) -> int:
        """The time it was last set to."""
        with self._changed:
            return self._now_ns

    def advance(self, ns: int) -> None:
        """Move `ns` >= 0 nanoseconds forward and wake whoever has waited long enough.

        Raises:
            ArgumentError: `ns` is negative.
        """
        if ns < 0:
            raise ArgumentError(f"a monotonic clock cannot go back, but advance got {ns} ns")
        with self._changed:
            self._now_ns += ns
            self._changed.notify_all()

    def wait_until(self, t_ns: int, cancelled: threading.Event) -> bool:
        """Block until `t_ns`; True when it is reached, False when `cancelled` was set."""
        with self._changed:
            self._awaited.append(t_ns)
            self._changed.notify_all()
            try:
                while not cancelled.is_set():
                    if self._now_ns >= t_ns:
                        return True
                    self._changed.wait(_CANCEL_POLL_S)
                return False
            finally:
                self._awaited.remove(t_ns)
                self._changed.notify_all()

    def next_awaited_ns(self, timeout_s: float = 60.0) -> int:
        """Block until some thread waits for a time still to come; return the earliest such time.

        Lets a test step a threaded program deterministically:
        `clock.advance(clock.next_awaited_ns() - clock.now_ns())`.

        Raises:
            TimeoutError: nobody waited within `timeout_s` of real time.
        """

        def pending() -> list[int]:
            return [t for t in self._awaited if t > self._now_ns]

        with self._changed:
            if not self._changed.wait_for(pending, timeout_s):
                raise TimeoutError(f"no thread waited on the clock within {timeout_s} s")
            return min(pending())
