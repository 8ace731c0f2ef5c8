"""An event loop that leaves the processor to others: pages lose before robots do.

Whatever visitors send, authorised or not, costs the loop's thread time of a core and the
interpreter lock, which the engine needs too. So the thread has a share of a core.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SHARE", "Share", "SparingLoop"]

# Of a core, on average. A viewer of 30 pictures a second takes about 0.01.
SHARE: Final = 0.25
_AT_ONCE_S: Final = 0.1  # CPU time that may be taken at once: to open a page
_LONGEST_S: Final = 0.05  # of one pause, so that a stop is noticed


class Share:
    """Says how long a thread has to pause, to take no more than its share of a core."""

    def __init__(
        self,
        share: float,
        at_once_s: float,
        *,
        cpu: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing owed.

        Args:
            share: of a core, above 0 and at most 1.
            at_once_s: CPU time that may be taken at once.
            cpu: CPU time of the thread that asks, seconds.
            clock: monotonic, seconds.
        """
        self._share, self._at_once_s = share, at_once_s
        self._cpu, self._clock = cpu, clock
        self._at: tuple[float, float] | None = None  # CPU time and time, looked at last
        self._owed_s = -at_once_s  # CPU time taken beyond the share; below 0: still to take

    def pause_s(self) -> float:
        """Seconds to pause now; 0: none."""
        cpu_s, now_s = self._cpu(), self._clock()
        before = self._at or (cpu_s, now_s)
        self._at = cpu_s, now_s
        gained_s = (now_s - before[1]) * self._share
        self._owed_s = max(-self._at_once_s, self._owed_s + cpu_s - before[0] - gained_s)
        return max(0.0, self._owed_s / self._share)


class _Selector(selectors.DefaultSelector):
    """Pauses before it waits; used by one thread."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: Share | None = Share(SHARE, _AT_ONCE_S)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        pause_s = 0.0 if self.pauses is None else self.pauses.pause_s()
        if pause_s > 0:
            time.sleep(min(pause_s, _LONGEST_S))
        return super().select(timeout)


class SparingLoop(asyncio.SelectorEventLoop):
    """An event loop whose thread takes `SHARE` of a core at the most."""

    def __init__(self) -> None:
        self._choosing = _Selector()
        super().__init__(self._choosing)

    def hurry(self) -> None:
        """From now on do not pause: the server stops."""
        self._choosing.pauses = None
