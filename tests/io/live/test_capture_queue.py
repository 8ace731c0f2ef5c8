import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamavis.io.live.capture_queue import CaptureQueue
from streamavis.types import AudioChunk, AudioGap, SourceEvent, VideoFrame

NS = 1_000_000_000
PICTURE = np.zeros((2, 2, 3), np.uint8)


def frame(n):
    return VideoFrame(PICTURE, n, index=n, clock="pts")


def chunk(n, samples=1600):
    return AudioChunk(np.zeros(samples, np.float32), n * samples * 62_500)


def taken(queue):
    queue.finish()
    return list(queue)


def test_what_is_put_in_comes_out_in_order():
    queue, items = CaptureQueue(), [frame(0), chunk(0), AudioGap(0, 1, "x"), frame(1)]
    for item in items:
        queue.put(item)
    assert taken(queue) == items


def test_a_late_reader_gets_the_newest_frames_and_the_count_of_the_others():
    queue = CaptureQueue()
    for n in range(10):
        queue.put(frame(n))
    assert queue.dropped_frames == 6
    assert [item.index for item in taken(queue)] == [6, 7, 8, 9]


def test_sound_beyond_ten_seconds_becomes_one_gap_of_its_length():
    queue = CaptureQueue()
    for n in range(150):
        queue.put(chunk(n))
    gap, *rest = taken(queue)
    assert gap == AudioGap(0, 5 * NS, "reader is late")
    assert [item.start_time_ns for item in rest] == [n * NS // 10 for n in range(50, 150)]


@given(st.lists(st.sampled_from("fcge"), max_size=400))
def test_whatever_comes_memory_is_bounded_and_no_sound_is_unaccounted(kinds):
    queue, sound = CaptureQueue(), 0
    for n, kind in enumerate(kinds):
        if kind == "f":
            queue.put(frame(n))
        elif kind == "c":
            queue.put(chunk(n))
            sound += NS // 10
        elif kind == "g":
            queue.put(AudioGap(n * NS, 1, "overflow"))
        else:
            queue.put(SourceEvent("x", "video", "running", n))
    items = taken(queue)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    assert len(frames) + queue.dropped_frames == kinds.count("f")
    heard = sum(len(item.samples) * 62_500 for item in items if isinstance(item, AudioChunk))
    lost = sum(i.duration_ns for i in items if isinstance(i, AudioGap) and i.duration_ns > 1)
    assert heard + lost == sound
    assert len(items) <= 4 + 100 + 256


def test_a_closed_outbox_is_empty():
    queue = CaptureQueue()
    queue.put(frame(0))
    queue.close()
    queue.put(frame(1))
    assert list(queue) == []
