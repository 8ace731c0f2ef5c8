"""Hand on what a source yields when it is due, or on the engine's clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamavis.errors import ArgumentError
from streamavis.types import AudioChunk, Stage, VideoFrame

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from streamavis.clock import Clock
    from streamavis.runtime.stats import Statistics
    from streamavis.types import SourceItem

__all__ = ["arriving", "live", "paced"]

# A source whose time steps further than this has begun anew, or has a damaged stamp.
_STEP_BACK_NS = 1_000_000_000
_STEP_FORWARD_NS = 10_000_000_000


def paced(
    source: Iterable[SourceItem],
    clock: Clock,
    *,
    speed: float | None,
    cancelled: threading.Event,
    statistics: Statistics | None = None,
) -> Iterator[SourceItem]:
    """Replay a recording at `speed` times real time, dropping nothing.

    An item of time p is released at start + (p - first p) / speed. Sound counts with its first
    sample, so it is never held beyond the frame that hears it. What is late is released at
    once and the next ones catch up. Where time jumps (a looped file), pacing starts anew.

    Each frame gets its `capture` (when it was due), `receive` and `decode` stamps; how long after
    its due time it was released is recorded as `lateness`.

    Args:
        speed: greater than 0, or None for as fast as the consumer takes them (due at once).
        cancelled: ends the iteration, also in the middle of a wait.

    Raises:
        ArgumentError: `speed` is not positive.
    """
    if speed is not None and speed <= 0:
        raise ArgumentError(f"speed must be greater than 0 or None for max, got {speed}")
    return _paced(source, clock, speed, cancelled, statistics)


def _paced(
    source: Iterable[SourceItem],
    clock: Clock,
    speed: float | None,
    cancelled: threading.Event,
    statistics: Statistics | None,
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


def live(source: Iterable[SourceItem], clock: Clock) -> Iterator[SourceItem]:
    """Put a live source's own timeline on `clock`, so that ages can be told.

    The first item is taken to be captured when it arrives, every other keeps its distance to
    it; where the source's time jumps, the same starts anew. Each frame gets its `capture`,
    `receive` and `decode` stamps.
    """
    timeline = _Timeline()
    for item in source:
        if isinstance(item, AudioChunk):
            start_ns = timeline.due_ns(item, clock.now_ns(), 1.0)
            yield replace(item, start_time_ns=start_ns)
        elif isinstance(item, VideoFrame):
            captured_ns = timeline.due_ns(item, clock.now_ns(), 1.0)
            frame = replace(item, capture_time_ns=captured_ns)
            frame.stamps = {}
            yield _stamped(frame, clock)
        else:
            yield item


def arriving(source: Iterable[SourceItem], clock: Clock) -> Iterator[SourceItem]:
    """Pass on a live source whose times are on `clock` already.

    Each frame gets those of the `capture`, `receive` and `decode` stamps that it lacks.
    """
    for item in source:
        yield _stamped(item, clock) if isinstance(item, VideoFrame) else item


def _stamped(frame: VideoFrame, clock: Clock) -> VideoFrame:
    now_ns = clock.now_ns()
    lacking: dict[str, int] = {
        Stage.CAPTURE: min(frame.capture_time_ns, now_ns),
        Stage.RECEIVE: now_ns,
        Stage.DECODE: now_ns,
    }
    frame.stamps = lacking | frame.stamps
    return frame


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
