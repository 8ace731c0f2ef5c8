"""The state machine, driven by a manual clock and a fake device: no test waits for time."""

import queue
import random
import threading
from contextlib import suppress

import numpy as np
import pytest
from runtime_fakes import assert_no_threads, our_threads, until

from streamavis.clock import ManualClock
from streamavis.errors import InputError, StoppedError
from streamavis.io.live import FakeDevice, LiveSource
from streamavis.io.live.device_supervisor import DeviceSupervisor, retry_delay_s
from streamavis.types import AudioChunk, AudioGap, SourceEvent, VideoFrame

NS = 1_000_000_000
SOON_S = 60.0
LONGEST_PAUSE_NS = 6 * NS  # 5 s and a fifth


def frame(time_ns, grey=None):
    image = np.full((48, 64, 3), time_ns // 1_000_000 % 251 if grey is None else grey, np.uint8)
    return VideoFrame(image, time_ns, index=0, clock="arrival")


class Watched:
    """A supervised fake and what it says."""

    def __init__(self, fake=None):
        self.clock = ManualClock(NS)
        self.fake = fake or FakeDevice()
        self.said = queue.Queue()
        self.supervisor = DeviceSupervisor(
            self.fake.device, self.said.put, self.clock, jitter=random.Random(1)
        )

    def __enter__(self):
        self.supervisor.start()
        self.expect("starting")
        return self

    def __exit__(self, *_):
        self.supervisor.stop()
        self.fake.let_go()
        assert self.supervisor.join(SOON_S)

    def next(self, kind):
        """The next item of a kind; others are passed over."""
        while not isinstance(item := self.said.get(timeout=SOON_S), kind):
            pass
        return item

    def expect(self, state):
        event = self.next(SourceEvent)
        assert event.state == state, event
        return event

    def see(self):
        self.fake.put(frame(self.clock.now_ns()))
        return self.next(VideoFrame)

    def pass_s(self, seconds):
        self.clock.advance(round(seconds * NS))

    def await_watcher(self):
        """Until the watcher waits no more for what an opening may take, which is 10 s."""
        until(lambda: self.clock.next_awaited_ns() - self.clock.now_ns() <= LONGEST_PAUSE_NS)

    def pass_pause(self):
        """Let the pause between two attempts pass."""
        self.await_watcher()
        self.clock.advance(self.clock.next_awaited_ns() - self.clock.now_ns())

    def hang(self):
        """Say nothing until it is opened anew, and then some."""
        opened = self.fake.opened
        self.pass_s(0.5)
        self.expect("stalled")
        self.pass_s(1.0)
        assert self.next(SourceEvent).state in ("reconnecting", "failed")  # after half a minute
        self.pass_pause()
        assert self.fake.wait_opened(opened + 1)

    def run(self, frames=10, period_ns=NS // 30):
        self.fake.put(frame(self.clock.now_ns()))
        self.expect("running")
        self.next(VideoFrame)
        self.await_watcher()
        for _ in range(frames):
            self.clock.advance(period_ns)
            self.see()


def test_it_runs_once_something_came_and_numbers_the_frames():
    with Watched() as watched:
        watched.fake.put(frame(5))
        watched.expect("running")
        assert watched.next(VideoFrame).index == 0
        assert watched.see().index == 1


@pytest.mark.parametrize(("fps", "limit_s"), [(30, 0.5), (5, 1.0), (1, 5.0)])
def test_a_hang_is_noticed_within_half_a_second_or_five_frames(fps, limit_s):
    with Watched(FakeDevice(fps=fps)) as watched:
        watched.run(period_ns=NS // fps)
        last_ns = watched.clock.now_ns()
        for _ in range(20):
            watched.pass_s(limit_s / 20)
        watched.pass_s(0.001)  # a period is no whole number of ns
        assert watched.expect("stalled").time_ns - last_ns >= limit_s * NS - 10


def test_a_process_that_was_held_up_blames_no_camera():
    with Watched() as watched:
        watched.run()
        watched.pass_s(0.9)  # the watcher wakes 0.4 s late; so may the worker
        assert watched.clock.next_awaited_ns() == watched.clock.now_ns() + 50_000_000
        watched.see()
        watched.fake.fail("fake: unplugged")
        watched.expect("reconnecting")  # and nothing before it


def test_but_only_once():
    with Watched() as watched:
        watched.run()
        watched.pass_s(0.9)
        watched.pass_s((watched.clock.next_awaited_ns() - watched.clock.now_ns()) / NS)
        watched.expect("stalled")


def test_a_hiccup_ends_without_a_new_connection():
    with Watched() as watched:
        watched.run()
        watched.pass_s(0.5)
        watched.expect("stalled")
        watched.fake.put(frame(watched.clock.now_ns()))
        watched.expect("running")
        assert watched.fake.opened == 1


def test_a_hundred_hangs_leave_no_thread_behind():
    with Watched() as watched:
        assert watched.fake.wait_opened(1)
        before = our_threads()
        for _ in range(100):
            watched.run(frames=2)
            watched.hang()
        assert watched.fake.opened == 101
        until(lambda: our_threads() <= before)


def test_workers_that_a_driver_does_not_let_go_are_bounded():
    with Watched() as watched:
        watched.fake.stubborn = True
        assert watched.fake.wait_opened(1)
        before = our_threads()
        for _ in range(3):
            watched.run(frames=2)
            watched.hang()
        watched.run(frames=2)
        watched.pass_s(0.5)
        watched.expect("stalled")
        watched.pass_s(1.0)
        watched.expect("reconnecting")
        watched.pass_pause()
        assert "4 attempts hang" in watched.expect("failed").reason
        assert watched.fake.opened == 4
        until(lambda: our_threads() == before + 3)
        watched.fake.let_go()
        while not watched.fake.wait_opened(5, timeout_s=0.2):  # their threads take a moment
            watched.pass_pause()


def test_a_pulled_cable_is_told_at_once_and_tried_again():
    with Watched() as watched:
        watched.run()
        watched.fake.fail("fake: unplugged")
        event = watched.expect("reconnecting")
        assert event.reason == "fake: unplugged"
        assert event.time_ns == watched.clock.now_ns()
        watched.pass_pause()
        watched.fake.put(frame(watched.clock.now_ns()))
        watched.expect("running")
        assert watched.fake.opened == 2


def test_what_stays_away_is_failed_but_still_tried():
    with Watched() as watched:
        watched.run()
        watched.fake.refuses = "fake: not there"
        watched.fake.fail("fake: unplugged")
        begin_ns = watched.expect("reconnecting").time_ns
        watched.pass_pause()
        watched.expect("reconnecting")  # for another reason
        while watched.supervisor.state != "failed":
            opened = watched.fake.opened
            watched.pass_pause()
            assert watched.fake.wait_opened(opened + 1)
        assert 30 <= (watched.expect("failed").time_ns - begin_ns) / NS <= 36
        watched.fake.refuses = ""
        watched.fake.put(frame(0))
        watched.pass_pause()
        watched.expect("running")


def step(watched, seconds):
    """Let time pass in the steps in which the supervisor waits."""
    clock, until_ns = watched.clock, watched.clock.now_ns() + round(seconds * NS)
    while clock.now_ns() < until_ns:
        until(lambda: clock.next_awaited_ns() - clock.now_ns() <= NS)
        clock.advance(clock.next_awaited_ns() - clock.now_ns())


def until_opened(watched, times):
    """As `step`, until it is opened, which nobody waits a second for."""

    def opened():
        due_ns = watched.clock.next_awaited_ns() - watched.clock.now_ns()
        if watched.fake.opened < times and due_ns <= NS:
            watched.clock.advance(due_ns)
        return watched.fake.opened >= times

    until(opened)


@pytest.mark.parametrize("outage_s", [1, 20, 300])
def test_a_camera_that_tells_when_it_is_back_is_opened_within_a_second_however_long(outage_s):
    with Watched() as watched:
        watched.run()
        watched.fake.refuses = watched.fake.missing = "fake: no route to host"
        watched.fake.fail("fake: unplugged")
        watched.expect("reconnecting")
        step(watched, outage_s)
        assert watched.fake.opened <= 3 + outage_s / 28, "dear"
        assert watched.fake.asked <= 12 + outage_s / 0.6, "cheap, but not for nothing"
        opened, gone_ns = watched.fake.opened, watched.clock.now_ns()
        watched.fake.refuses = watched.fake.missing = ""
        until_opened(watched, opened + 1)
        assert watched.clock.now_ns() - gone_ns <= NS
        watched.fake.put(frame(watched.clock.now_ns()))
        while watched.next(SourceEvent).state != "running":
            pass


def test_one_that_is_back_before_it_is_ready_is_tried_again_soon():
    with Watched() as watched:
        watched.run()
        watched.fake.refuses = watched.fake.missing = "fake: no route to host"
        watched.fake.fail("fake: unplugged")
        watched.expect("reconnecting")
        step(watched, 100)
        watched.fake.missing, watched.fake.refuses = "", "fake: still starting"
        until_opened(watched, watched.fake.opened + 1)
        while "still starting" not in watched.next(SourceEvent).reason:
            pass
        until(lambda: watched.clock.next_awaited_ns() - watched.clock.now_ns() <= 3 * NS // 10)


def test_one_that_is_said_to_be_missing_and_is_not_is_found_all_the_same():
    with Watched() as watched:
        watched.run()
        watched.fake.missing = "fake: no answer"
        watched.fake.fail("fake: unplugged")
        watched.expect("reconnecting")
        begin_ns = watched.clock.now_ns()
        until_opened(watched, watched.fake.opened + 1)
        assert watched.clock.now_ns() - begin_ns <= 31 * NS


def test_an_end_is_an_end():
    ended = threading.Event()
    clock, fake, said = ManualClock(), FakeDevice(), queue.Queue()
    supervisor = DeviceSupervisor(fake.device, said.put, clock, on_ended=ended.set)
    supervisor.start()
    fake.put(frame(0))
    fake.end()
    assert ended.wait(SOON_S)
    assert supervisor.join(SOON_S)
    assert supervisor.state == "ended"


def test_a_drivers_surprise_does_not_end_the_stream(caplog):
    with Watched() as watched:
        watched.run()
        watched.fake.fail(ZeroDivisionError("in a driver"))
        assert "ZeroDivisionError: in a driver" in watched.expect("reconnecting").reason
    assert caplog.text.count("Traceback") == 1


def test_surprises_that_differ_in_their_words_are_logged_once_a_minute(caplog):
    with Watched() as watched:
        watched.run()
        for number in range(3):
            watched.fake.fail(ZeroDivisionError(f"in a driver, {number}"))
            assert f"a driver, {number}" in watched.expect("reconnecting").reason
            watched.pass_pause()
            assert watched.fake.wait_opened(number + 2)
            watched.run(frames=0)
    assert caplog.text.count("Traceback") == 1


def test_delays_grow_with_the_outage_and_spread():
    jitter = random.Random(0)
    for outage_s, least, most in ((0, 0.2, 0.3), (2.5, 0.2, 0.3), (10, 0.8, 1.2), (999, 4, 6)):
        delays = [retry_delay_s(outage_s, jitter) for _ in range(200)]
        assert least <= min(delays) < max(delays) <= most


def test_a_frozen_picture_is_stale_within_two_seconds_and_ok_again_when_it_moves():
    with Watched() as watched:
        watched.run()
        states = []
        for _ in range(70):
            watched.clock.advance(NS // 30)
            watched.fake.put(frame(watched.clock.now_ns(), grey=7))
            states.append(watched.next(VideoFrame).state)
        assert states.index("stale") <= 60
        assert "stale" not in states[:40]
        assert watched.see().state == "ok"


class Merged:
    """A LiveSource of two fakes, read by a thread."""

    def __init__(self, **options):
        self.clock = ManualClock(NS)
        self.eyes, self.ears = FakeDevice(), FakeDevice("audio", name="ears")
        self.eyes.put(frame(0))
        self.ears.put(AudioChunk(np.zeros(160, np.float32), NS))
        self.source = LiveSource(self.eyes.device, self.ears.device, self.clock, **options)
        self.said = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for item in self.source:
            self.said.put(item)
        self.said.put(None)

    def until(self, wanted):
        items = []
        while not items or not wanted(items[-1]):
            items.append(self.said.get(timeout=SOON_S))
        return items


def test_a_source_merges_both_and_knows_its_size():
    merged = Merged()
    assert (merged.source.info.width, merged.source.info.height) == (64, 48)
    assert merged.source.info.has_audio
    merged.eyes.put(frame(1))
    merged.ears.put(AudioGap(0, 1, "overflow"))
    kinds = set()
    while not {VideoFrame, AudioChunk, AudioGap, SourceEvent} <= kinds:
        kinds.add(type(merged.said.get(timeout=SOON_S)))
    merged.source.close()
    assert merged.source.join(SOON_S)


def test_closing_ends_a_blocked_iteration_at_once_and_every_thread():
    before = our_threads()
    merged = Merged()
    merged.source.close()
    merged.until(lambda item: item is None)
    merged.source.close()
    assert merged.source.join(SOON_S)
    merged.reader.join(SOON_S)
    until(lambda: our_threads() <= before)


def test_the_picture_goes_on_without_the_microphone():
    merged = Merged()
    merged.ears.refuses = "ears: unplugged"
    merged.ears.fail("ears: unplugged")
    merged.until(lambda item: getattr(item, "state", "") == "reconnecting")
    for n in range(5):
        merged.eyes.put(frame(n))
    merged.until(lambda item: isinstance(item, VideoFrame) and item.index == 5)
    merged.source.close()
    assert merged.source.join(SOON_S)


def test_the_end_of_the_camera_ends_the_source():
    merged = Merged()
    merged.eyes.end()
    items = merged.until(lambda item: item is None)
    assert items[-2].state == "ended"
    merged.source.close()
    assert merged.source.join(SOON_S)


def test_no_sound_of_the_camera_where_it_comes_from_elsewhere():
    eyes, ears = FakeDevice(has_sound=True), FakeDevice("audio", name="ears")
    eyes.put(AudioChunk(np.ones(160, np.float32), 0))
    eyes.put(frame(0))
    ears.put(AudioChunk(np.zeros(160, np.float32), 0))
    with LiveSource(eyes.device, ears.device, ManualClock()) as source:
        eyes.end()
        sounds = [item for item in source if isinstance(item, AudioChunk)]
    assert source.join(SOON_S)
    assert all(not chunk.samples.any() for chunk in sounds)


@pytest.mark.parametrize("missing", ["", "eyes: no such device"])
def test_patience_has_an_end(missing):
    eyes, clock, told = FakeDevice(), ManualClock(), []
    eyes.refuses, eyes.missing = "eyes: not there", missing

    def open_it():
        with pytest.raises(InputError, match="not there"):
            LiveSource(eyes.device, "none", clock, patience_s=10.0)
        told.append(clock.now_ns())

    opener = threading.Thread(target=open_it)
    opener.start()

    def over():
        with suppress(TimeoutError):  # nobody waits any more
            due_ns = clock.next_awaited_ns(0.05) - clock.now_ns()
            if due_ns <= LONGEST_PAUSE_NS and not told:
                clock.advance(due_ns)
        return told

    until(over)
    opener.join(SOON_S)
    assert 10 * NS <= told[0] < 25 * NS


@pytest.mark.parametrize("which", ["eyes", "ears"])
def test_a_stop_ends_the_wait_for_what_never_gives_anything(which):
    eyes, ears, stop = FakeDevice(), FakeDevice("audio", name="ears"), threading.Event()
    if which == "ears":
        eyes.put(frame(0))
    told = []

    def open_it():
        with pytest.raises(StoppedError, match="stopped before anything came"):
            LiveSource(eyes.device, ears.device, ManualClock(), cancelled=stop)
        told.append("over")

    opener = threading.Thread(target=open_it, daemon=True)
    opener.start()
    assert ears.wait_opened(1) and eyes.wait_opened(1)
    assert not told
    stop.set()
    opener.join(SOON_S)
    assert told
    assert_no_threads()


@pytest.mark.parametrize("which", ["eyes", "ears"])
def test_what_cannot_be_opened_at_first_is_an_error_with_its_reason(which):
    eyes, ears = FakeDevice(), FakeDevice("audio", name="ears")
    {"eyes": eyes, "ears": ears}[which].refuses = f"{which}: permission denied"
    eyes.put(frame(0))
    with pytest.raises(InputError, match=f"{which}: permission denied"):
        LiveSource(eyes.device, ears.device, ManualClock())


def test_none_means_none():
    eyes = FakeDevice()
    eyes.put(frame(0))
    with LiveSource(eyes.device, "none", ManualClock()) as source:
        assert not source.info.has_audio
    assert source.join(SOON_S)
