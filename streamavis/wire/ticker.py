"""Something that is due again and again, by a clock that is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ticker"]


@dataclass(slots=True)
class Ticker:
    """Says when the next tick is due, by the clock it is given."""

    clock: Callable[[], int]  # monotonic ns
    interval_s: float
    due_ns: int = 0

    def wait_ms(self) -> int:
        """Return how long to wait for the next tick, 0 to `interval_s` in ms."""
        wait_ns = self.due_ns - self.clock()
        return min(max(0, -(-wait_ns // 1_000_000)), round(self.interval_s * 1_000))

    def tick(self) -> bool:
        """Return True once per interval; ticks that were missed are not made up for."""
        now_ns = self.clock()
        if now_ns < self.due_ns:
            return False
        self.due_ns = now_ns + round(self.interval_s * 1e9)
        return True
