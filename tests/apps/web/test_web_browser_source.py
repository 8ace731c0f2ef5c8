"""A visitor's camera and microphone as a device: times, gaps, and browsers that come and go."""

import threading

import numpy as np
import pytest
from runtime_fakes import picture, until
from streamavis_apps.web.browser import BrowserSource
from streamavis_apps.web.feed import Begin, Block, Picture, Trouble
from streamavis_apps.web.pictures import to_jpeg
from streamavis_apps.web.sound import BrowserSound

from streamavis.clock import ManualClock
from streamavis.errors import InputError
from streamavis.types import SAMPLE_RATE, AudioChunk, AudioGap, VideoFrame

MS = 1_000_000
BEGIN = Begin(camera="webcam", microphone="headset")
JPEG = to_jpeg(picture((0, 10, 10, 40, 30)), 960)


def image(time_ms, sent_ms, *, jpeg=JPEG, exact=True):
    return Picture(time_ms, sent_ms, exact, jpeg)


def sound(first, *, ms, rate=48_000, samples=960, latency=0.0):
    values = np.full(samples, 8000, np.int16)
    return Block(first, ms, ms, rate, latency, values)


def collect(source, clock, script):
    """Play `script` of (clock ms, message or reason to leave); return what the capture gave."""
    capture = source.capture(clock)
    items, reasons = [], []

    def take():
        try:
            items.extend(capture)
        except InputError as error:
            reasons.append(str(error))

    taking = threading.Thread(target=take)
    taking.start()
    for at_ms, message in script:
        clock.advance(round(at_ms * MS) - clock.now_ns())
        if isinstance(message, Begin):
            assert source.begin(message)
        elif isinstance(message, str):
            source.end(message)
        else:
            source.receive(message)
        # What comes after has to wait: a browser that leaves takes along what was not taken.
        until(lambda: not capture._arrived or not taking.is_alive())
    taking.join(60)
    return items, *reasons, capture


def test_pictures_come_on_the_engines_clock_and_never_from_the_future():
    script = [
        (1000, BEGIN),
        (1040, image(70_000, 70_020)),  # 20 ms on its way, 20 ms old when sent
        (1105, image(70_080, 70_100)),  # 5 ms on its way: the better measure of the clocks
        (1210, image(70_180, 70_200, exact=False)),
        (1300, image(70_999, 70_290)),  # claims to be from the future
        (1400, "it left"),
    ]
    items, reason, _ = collect(BrowserSource(), ManualClock(), script)
    assert reason == "it left"
    times_ms = [item.capture_time_ns / MS for item in items]
    # The offset is 1020 at first, 1005 once a quicker message showed it.
    assert times_ms == [1020, 1085, 1185, 1300]
    assert [item.clock for item in items] == ["driver", "driver", "arrival", "driver"]
    assert all(item.image.shape == (90, 160, 3) for item in items)
    assert items[0].stamps["capture"] == 1020 * MS
    assert items[0].stamps["receive"] == 1040 * MS


def test_a_damaged_picture_is_left_out_and_counted():
    script = [
        (0, BEGIN),
        (10, image(1, 2, jpeg=JPEG[:200])),
        (20, image(3, 4)),
        (30, "gone"),
    ]
    items, _, capture = collect(BrowserSource(), ManualClock(), script)
    assert len(items) == 1
    assert capture.refused == 1


def test_what_a_device_reports_is_told():
    script = [
        (0, BEGIN),
        (10, Trouble("microphone", "unplugged")),
        (20, image(1, 2)),
        (30, Trouble("camera", "permission withdrawn")),
        (40, image(3, 4)),
    ]
    items, reason, _ = collect(BrowserSource(), ManualClock(), script)
    assert [type(i) for i in items] == [AudioGap, VideoFrame]
    assert "microphone: unplugged" in items[0].cause
    assert reason == "the browser's camera: permission withdrawn"


def test_one_browser_at_a_time_and_a_capture_opened_late_knows_who_sends():
    source, clock = BrowserSource(), ManualClock()
    assert source.begin(BEGIN)
    assert not source.begin(BEGIN)
    source.receive(image(1, 2))  # nobody wants it yet
    items, _, _ = collect(source, clock, [(10, image(3, 4)), (20, "left")])
    assert len(items) == 1
    assert not source.busy
    assert source.begin(BEGIN)


def test_a_capture_that_waits_for_a_browser_ends_when_it_is_aborted():
    capture = BrowserSource().capture(ManualClock())
    ended = threading.Event()

    def run():
        assert list(capture) == []
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    capture.abort()
    assert ended.wait(60)
    thread.join(60)


def test_where_nobody_reads_messages_do_not_pile_up():
    source = BrowserSource()
    capture = source.capture(ManualClock())
    source.begin(BEGIN)
    for n in range(1000):
        source.receive(image(n, n))
    source.end("left")
    with pytest.raises(InputError):
        assert len(list(capture)) <= 200


def heard(blocks, offset_ms=500):
    ears = BrowserSound()
    return [item for block in blocks for item in ears.hear(block, offset_ms * MS)]


def test_sound_lies_where_it_was_taken_whatever_the_jitter_of_its_way():
    jitter = np.random.default_rng(3).integers(0, 30, 200)
    blocks = [sound(n * 960, ms=n * 20 + 20 + int(jitter[n])) for n in range(200)]
    items = heard(blocks)
    assert all(isinstance(i, AudioChunk) for i in items)
    total = sum(len(i.samples) for i in items)
    assert abs(total - 200 * 320) <= 40  # the resampler holds back about a millisecond
    later = [i for i in items if i.start_time_ns > 3_000 * MS]
    at = [(i.start_time_ns + len(i.samples) * 62_500) / MS for i in later]
    true = [500 + 20 * (n + 1) for n in range(200)][-len(at) :]
    assert np.abs(np.array(at) - true).max() <= 5


def test_lost_blocks_leave_a_gap_of_their_length():
    blocks = [sound(n * 960, ms=n * 20 + 20) for n in range(40) if not 10 <= n < 17]
    items = heard(blocks)
    (gap,) = [i for i in items if isinstance(i, AudioGap)]
    assert gap.duration_ns == 7 * 20 * MS
    assert gap.start_time_ns == 700 * MS
    before = [i for i in items[: items.index(gap)] if len(i.samples)]
    end_ns = before[-1].start_time_ns + len(before[-1].samples) * 62_500
    assert abs(end_ns - gap.start_time_ns) <= 2 * MS


def test_a_sound_that_begins_anew_has_no_gap_before_it():
    blocks = [sound(n * 960, ms=n * 20 + 20) for n in range(10)]
    blocks += [sound(n * 882, ms=5_000 + n * 20, rate=44_100, samples=882) for n in range(10)]
    items = heard(blocks)
    assert all(isinstance(i, AudioChunk) for i in items)
    assert sum(len(i.samples) for i in items) <= 20 * 320


def test_the_microphones_own_latency_is_taken_off():
    early = heard([sound(0, ms=20, latency=0.0)] * 1)[0].start_time_ns
    late = heard([sound(0, ms=20, latency=0.015)])[0].start_time_ns
    assert early - late == 15 * MS
    assert SAMPLE_RATE == 16_000


def test_a_browser_that_leaves_takes_its_queue_along_and_the_next_one_does_not_wait():
    source, clock = BrowserSource(), ManualClock()
    capture = source.capture(clock)
    assert source.begin(BEGIN)
    for number in range(150):
        source.receive(image(number, number))
        source.receive(sound(number * 960, ms=number))
    source.end("it left")
    with pytest.raises(InputError, match="it left"):
        next(iter(capture))


def test_of_a_flood_of_pictures_only_the_newest_are_decoded_and_no_sound_is_lost():
    source, clock = BrowserSource(), ManualClock()
    capture = source.capture(clock)
    assert source.begin(BEGIN)
    for number in range(50):
        source.receive(image(number, number))
        source.receive(sound(number * 960, ms=number))
    waiting = [message for message, _ in capture._arrived]
    assert [m.time_ms for m in waiting if isinstance(m, Picture)] == [46, 47, 48, 49]
    assert sum(isinstance(m, Block) for m in waiting) == 50
    assert capture.replaced == 46
