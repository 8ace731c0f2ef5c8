"""Give up a little at a time when the machine cannot keep up, and take it back when it can."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["LEVELS", "Governor", "LoadLevel"]

_S: Final = 1_000_000_000
_FULL: Final = 0.95  # of its time the engine is at work: it cannot keep up
_ROOM: Final = 0.85  # what the level above may be expected to take
_DOWN_NS: Final = 2 * _S  # how long it must be full before something is given up
_UP_NS: Final = 5 * _S  # and have room before something is taken back


@dataclass(frozen=True, slots=True)
class LoadLevel:
    """How much is done for each stream."""

    name: str  # for people
    viewer_hz: float | None = None  # results a viewer gets per second; None: what it asks for
    stride: int = 1  # every n-th captured frame is processed
    scale: float = 1.0  # of the network's short side
    max_tracks: int | None = None  # of a result

    @property
    def cost(self) -> float:
        """About what a second of stream costs, of the first level's."""
        return self.scale**2 / self.stride


# The eyes lose first, the results for a robot last.
LEVELS: Final = (
    LoadLevel("everything"),
    LoadLevel("viewers at 5 Hz", 5.0),
    LoadLevel("every 2nd frame", 5.0, 2),
    LoadLevel("every 3rd frame", 5.0, 3),
    LoadLevel("pictures 3/4 the size", 5.0, 3, 0.75),
    LoadLevel("8 tracks at most", 5.0, 3, 0.75, 8),
)


@dataclass(frozen=True, slots=True)
class _Sample:
    now_ns: int
    busy_ns: int
    lost: int


class Governor:
    """Chooses the level from facts: how long the engine was at work, what queued in vain.

    Down one level after 2 s in which the engine was at work 95 % of the time and frames were
    superseded; up one after 5 s in which the level above would have left it 15 % of its time.
    Between the two nothing changes, so that the level does not swing.
    """

    def __init__(self) -> None:
        self._place = 0
        self._samples: deque[_Sample] = deque()

    @property
    def place(self) -> int:
        """How many levels down."""
        return self._place

    @property
    def level(self) -> LoadLevel:
        """What is done now."""
        return LEVELS[self._place]

    def look(self, now_ns: int, busy_ns: int, lost: int) -> bool:
        """Take the engine's counters, several times a second; True when the level has changed.

        Args:
            now_ns: the engine's clock.
            busy_ns: how long it has been at work since it started.
            lost: frames that were superseded or stale since it started.
        """
        newest = _Sample(now_ns, busy_ns, lost)
        self._samples.append(newest)
        while len(self._samples) > 1 and self._samples[1].now_ns <= now_ns - _UP_NS:
            self._samples.popleft()
        step = self._step(newest)
        if step:
            self._place += step
            self._samples.clear()
        return step != 0

    def _step(self, newest: _Sample) -> int:
        recent = self._before(newest.now_ns - _DOWN_NS)
        if recent is not None and self._place < len(LEVELS) - 1:
            full = _share(recent, newest) >= _FULL
            if full and newest.lost > recent.lost:
                return 1
        before = self._before(newest.now_ns - _UP_NS)
        if before is not None and self._place > 0:
            dearer = LEVELS[self._place - 1].cost / self.level.cost
            if _share(before, newest) * dearer <= _ROOM:
                return -1
        return 0

    def _before(self, time_ns: int) -> _Sample | None:
        """The newest sample taken at `time_ns` or earlier."""
        found = None
        for sample in self._samples:
            if sample.now_ns > time_ns:
                break
            found = sample
        return found


def _share(before: _Sample, after: _Sample) -> float:
    return (after.busy_ns - before.busy_ns) / max(after.now_ns - before.now_ns, 1)
