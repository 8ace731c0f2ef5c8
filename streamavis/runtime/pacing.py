"""Hand on what a recording yields when it is due."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from streamavis.errors import ArgumentError
from streamavis.types import AudioChunk, Stage, VideoFrame

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from streamavis.clock import Clock
    from streamavis.runtime.stats import StreamStatistics
    from streamavis.types import SourceItem

__all__ = ["paced"]

# A source whose time steps further than this has begun anew, or has a damaged stamp.
_STEP_BACK_NS = 1_000_000_000
_STEP_FORWARD_NS = 10_000_000_000


def paced(
    source: Iterable[SourceItem],
    clock: Clock,
    *,
    speed: float | None,
    cancelled: threading.Event,
    statistics: StreamStatistics | None = None,
) -> Iterator[SourceItem]:
    """Replay a recording at `speed` times real time, dropping nothing.

    An item of time p is released at start + (p - first p) / speed. Sound counts with its first
    sample, so it is never held beyond the frame that hears it. What is late is released at
    once and the next ones catch up. Where time jumps (a looped file), pacing starts anew.

    Each frame gets its `capture` (when it was due), `receive` and `decode` stamps; how long after
    its due time it was released is recorded as `lateness`.

    Args:
        speed: greater than 0; None or infinity for as fast as the consumer takes them (due at
            once).
        cancelled: ends the iteration, also in the middle of a wait.

    Raises:
        ArgumentError: `speed` is not positive.
    """
    if speed is not None and speed <= 0:
        raise ArgumentError(f"speed must be greater than 0 or None for max, got {speed}")
    return _paced(source, clock, None if speed == math.inf else speed, cancelled, statistics)


def _paced(
    source: Iterable[SourceItem],
    clock: Clock,
    speed: float | None,
    cancelled: threading.Event,
    statistics: StreamStatistics | None,
) -> Iterator[SourceItem]:
    timeline = _Timeline()
    asked_ns = clock.now_ns()
    for item in source:
        due_ns = asked_ns
        if speed is not None and isinstance(item, AudioChunk | VideoFrame):
            due_ns = timeline.due_ns(item, clock.now_ns(), speed)
        if not clock.wait_until(due_ns, cancelled):
            return
        if isinstance(item, VideoFrame):
            released_ns = clock.now_ns()
            item.stamps[Stage.CAPTURE] = due_ns
            item.stamps[Stage.RECEIVE] = max(due_ns, asked_ns)
            item.stamps[Stage.DECODE] = released_ns
            if statistics is not None and speed is not None:
                statistics.record("lateness", released_ns - due_ns)
        yield item
        asked_ns = clock.now_ns()


class _Timeline:
    """Where a source's time lies on a clock."""

    def __init__(self) -> None:
        self._anchor: tuple[int, int] | None = None  # (clock, source) of one moment
        self._last_ns: dict[type, int] = {}  # per kind: sound may run ahead of the picture

    def due_ns(self, item: AudioChunk | VideoFrame, now_ns: int, speed: float) -> int:
        time_ns = item.capture_time_ns if isinstance(item, VideoFrame) else item.start_time_ns
        latest_ns = max(self._last_ns.values(), default=time_ns)
        jumped = (
            time_ns < self._last_ns.get(type(item), time_ns) - _STEP_BACK_NS
            or time_ns > latest_ns + _STEP_FORWARD_NS
        )
        if jumped:
            self._last_ns.clear()
        if jumped or self._anchor is None:
            self._anchor = (now_ns, time_ns)
        self._last_ns[type(item)] = time_ns
        return self._anchor[0] + round((time_ns - self._anchor[1]) / speed)
