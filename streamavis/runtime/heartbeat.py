"""Which worker threads move, and which one is stuck in what it does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from streamavis.status import Pulse

if TYPE_CHECKING:
    from streamavis.clock import Clock

__all__ = ["Heartbeats"]


class Heartbeats:
    """Every worker tells what it turns to; any thread may ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[str, tuple[Literal["working", "waiting", "ended"], int]] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def beat(self, worker: str, doing: Literal["working", "waiting", "ended"]) -> None:
        """`worker` begins to do this."""
        with self._lock:
            self._beats[worker] = (doing, self._clock.now_ns())

    @property
    def pulses(self) -> dict[str, Pulse]:
        """By worker."""
        now_ns = self._clock.now_ns()
        with self._lock:
            return {
                worker: Pulse(doing, (now_ns - since_ns) / 1e9)
                for worker, (doing, since_ns) in self._beats.items()
            }

    def news(self) -> list[str]:
        """Who got stuck, or moves again, since this was last asked; one sentence each."""
        sentences = []
        for worker, pulse in self.pulses.items():
            if pulse.stuck and worker not in self._told:
                self._told.add(worker)
                sentences.append(f"{worker} has not moved for {pulse.for_s:.0f} s")
            elif not pulse.stuck and worker in self._told:
                self._told.remove(worker)
                sentences.append(f"{worker} moves again")
        return sentences
