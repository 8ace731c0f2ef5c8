import threading

import numpy as np
import pytest

from streamavis.clock import ManualClock
from streamavis.runtime.pacing import paced
from streamavis.runtime.stats import StreamStatistics
from streamavis.types import AudioChunk, Stage, VideoFrame

S = 1_000_000_000
MS = 1_000_000


def frame(ms, index=0):
    return VideoFrame(np.zeros((1, 1, 3), np.uint8), ms * MS, index, "pts")


def sound(ms):
    return AudioChunk(np.zeros(160, np.float32), ms * MS)


def release_times(items, *, speed, work_ms=0, start_ns=7 * S):
    """When each item is released, in ms after the start, on a clock that only waiting moves."""
    clock, statistics, released = ManualClock(start_ns), StreamStatistics(), []

    def replay():
        for item in paced(
            items, clock, speed=speed, cancelled=threading.Event(), statistics=statistics
        ):
            released.append((clock.now_ns() - start_ns) / MS)
            if isinstance(item, VideoFrame):
                clock.advance(work_ms * MS)

    thread = threading.Thread(target=replay)
    thread.start()
    while thread.is_alive():
        try:
            clock.advance(max(0, clock.next_awaited_ns(timeout_s=0.02) - clock.now_ns()))
        except TimeoutError:
            continue
    return released, statistics.snapshot()["stages"].get("lateness")


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_items_are_released_when_they_are_due(speed):
    items = [sound(100), frame(100), sound(110), frame(140), frame(200)]
    released, lateness = release_times(items, speed=speed)
    assert released == [t / speed for t in (0, 0, 10, 40, 100)]
    assert lateness["count"] == 3
    assert lateness["max_ms"] == 0


def test_as_fast_as_possible_never_waits():
    released, lateness = release_times([frame(0), frame(9000), frame(18_000)], speed=None)
    assert released == [0, 0, 0]
    assert lateness is None


def test_late_frames_are_all_released_and_reported_and_time_is_caught_up():
    released, lateness = release_times([frame(40 * n) for n in range(4)], speed=1.0, work_ms=50)
    assert released == [0, 50, 100, 150]
    assert lateness["max_ms"] == 30
    released, _ = release_times([frame(0), frame(40), frame(80), frame(400)], speed=1.0, work_ms=50)
    assert released == [0, 50, 100, 400]


def test_pacing_starts_anew_where_time_does():
    released, _ = release_times([frame(0), frame(5000), frame(0), frame(40)], speed=1.0)
    assert released == [0, 5000, 5000, 5040]
    released, _ = release_times([frame(0), frame(10**9), frame(10**9 + 40)], speed=1.0)
    assert released == [0, 0, 40]


def test_a_picture_may_stand_still_while_sound_goes_on():
    items = [frame(0), *(sound(ms) for ms in range(0, 30_000, 5000)), frame(30_000)]
    released, _ = release_times(items, speed=1.0)
    assert released[-1] == 30_000


def test_cancelling_ends_a_wait():
    clock, cancelled, seen = ManualClock(), threading.Event(), []
    items = [frame(0), frame(9000)]
    thread = threading.Thread(
        target=lambda: seen.extend(paced(items, clock, speed=1.0, cancelled=cancelled))
    )
    thread.start()
    assert clock.next_awaited_ns() == 9 * S
    cancelled.set()
    thread.join(60)
    assert seen == items[:1]


def test_frames_carry_when_they_were_due_and_decoded():
    clock = ManualClock(S)
    (first,) = paced([frame(0)], clock, speed=1.0, cancelled=threading.Event())
    assert first.stamps == {Stage.CAPTURE: S, Stage.RECEIVE: S, Stage.DECODE: S}


@pytest.mark.parametrize("speed", [0, -1.0])
def test_speed_must_be_positive(speed):
    with pytest.raises(ValueError, match="speed"):
        paced([], ManualClock(), speed=speed, cancelled=threading.Event())
