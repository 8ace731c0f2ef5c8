"""Clocks are passed in, so that a test can hold time still.

Every time is int64 nanoseconds on a monotonic clock; wall time never appears here.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "MonotonicClock"]

# A waiter on a manual clock looks this often whether it was cancelled: an Event cannot notify
# the clock's condition.
_CANCEL_POLL_S = 0.005


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
            ValueError: `ns` is negative.
        """
        if ns < 0:
            raise ValueError(f"a monotonic clock cannot go back, but advance got {ns} ns")
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

    def next_awaited_ns(self, timeout_s: float = 10.0) -> int:
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
