"""Cameras and microphones that close, hang, freeze and come back, seen from the wire."""

from __future__ import annotations

import threading

import pytest
from live_rig import MS, Rig, see
from runtime_fakes import CLASSES, NS, FakeModel, Tap, our_threads, until

from streamavis.clock import ManualClock
from streamavis.io.live import Device, LiveSource
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.publish import PublishSink
from streamavis.types import AudioChunk, SourceEvent, VideoFrame
from streamavis.wire import Hello, Status

STATUS_NS = NS // 10  # a status is sent ten times a second
WITHIN_NS = NS // 2  # the promise


class Wired(Rig):
    """A rig whose sink publishes; `status` is what the wire's next status would say."""

    def __init__(self, *, has_audio: bool = True) -> None:
        hello = Hello(model="fake", classes=CLASSES, size=(90, 160), has_audio=has_audio)
        self.wire = PublishSink("tcp://127.0.0.1:*", "cam", hello)
        super().__init__("cam", has_audio=has_audio, sink=self.wire, boot_id=self.wire.boot_id)

    def status(self) -> Status:
        self.engine._look()
        return self.wire._status()

    def silence(self, step_ms: int = 100) -> list[tuple[int, Status]]:
        """A second without anything: the statuses with the time since the last item."""
        said = []
        for n in range(1, 1000 // step_ms + 1):
            self.clock.advance(step_ms * MS)
            said.append((n * step_ms * MS, self.status()))
        return said

    def run(self, seconds: float, *, fps: int = 30, sound: bool = True) -> list:
        results = []
        for _ in range(round(seconds * fps)):
            self.clock.advance(NS // fps)
            if sound:
                self.taps["cam"].sound(1 / fps)
            results.append(self.one("cam"))
        return results


@pytest.fixture
def wired():
    rig = Wired()
    yield rig
    rig.end()


def test_a_camera_that_closes_is_lost_in_the_next_status_and_back_with_its_first_frame(wired):
    wired.run(1)
    now = wired.clock.now_ns()
    event = SourceEvent("rtsp://cam", "video", "reconnecting", now, "connection closed")
    wired.taps["cam"].give(event)
    until(lambda: wired.status().source == "reconnecting")
    said = wired.silence()
    assert said[0][1].video == "lost", "a tenth of a second later, the next status"
    assert said[-1][1].source == "reconnecting"
    (camera, _) = said[-1][1].inputs
    assert (camera.state, camera.reason) == ("reconnecting", "connection closed")
    result = wired.one("cam")
    assert result.video == "ok"
    assert (wired.status().source, wired.status().video) == ("running", "ok")
    assert [notice.kind for notice in wired.status().notices][-1] == "source"


def test_a_camera_that_hangs_without_a_word_is_lost_within_half_a_second(wired):
    wired.run(1)
    said = wired.silence()
    lost = [since for since, status in said if status.video == "lost"]
    assert lost[0] <= WITHIN_NS
    assert lost == [since for since, _ in said if since >= lost[0]], "until it is back"
    assert said[-1][1].source == "stalled"


def test_a_camera_of_two_frames_a_second_is_lost_after_five_periods(wired):
    wired.run(10, fps=2)
    assert {status.video for _, status in wired.silence()} == {"ok"}
    wired.clock.advance(3 * NS // 2)
    assert wired.status().video == "lost", "2.5 s are five periods"


def test_a_picture_that_does_not_change_is_told_as_the_source_tells_it(wired):
    wired.run(1)
    wired.clock.advance(33 * MS)
    assert wired.one("cam", state="stale").video == "stale"
    assert wired.status().video == "stale"
    wired.clock.advance(33 * MS)
    assert wired.one("cam").video == "ok"


def test_the_microphone_gone_results_keep_their_rate_and_nobody_guesses(wired):
    wired.run(2)
    begin = wired.clock.now_ns()
    results = wired.run(2, sound=False)
    assert len(results) == 60
    lost = [r for r in results if r.audio == "lost"]
    assert lost[0].capture_time_ns - begin <= WITHIN_NS
    assert all(r.audio == "lost" for r in results[results.index(lost[0]) :])
    assert {t.sounding for r in lost for t in r.tracks} == {None}, "unknown, never False"
    unsure = [r for r in results if r.capture_time_ns - begin > 200 * MS]
    assert {t.sounding for r in unsure for t in r.tracks} == {None}
    assert wired.status().audio == "lost"
    assert wired.status().video == "ok"
    back = wired.run(1)
    assert back[3].tracks[0].sounding is not None
    assert wired.status().audio != "lost"


def test_the_microphone_gone_while_no_results_come_is_told_as_well(wired):
    wired.run(1)
    said = wired.silence()
    assert next(since for since, status in said if status.audio == "lost") <= WITHIN_NS


class Flaky:
    """A device that delivers a few frames, then breaks or hangs, every time it is opened."""

    fps, has_sound = 30.0, False

    def __init__(self, clock: ManualClock, *, hangs: bool, opened: list) -> None:
        self._clock, self._hangs = clock, hangs
        self._aborted = threading.Event()
        opened.append(self)

    def __iter__(self):
        image = Tap(self._clock)
        for _ in range(3):
            image.frame(clock="arrival")
            yield image._items.get()
        if self._hangs:
            self._aborted.wait(60)
        else:
            raise OSError("the cable is out")

    def abort(self) -> None:
        self._aborted.set()


@pytest.mark.parametrize("hangs", [False, True])
def test_a_hundred_breaks_leave_no_thread_behind(hangs):
    clock, opened = ManualClock(10 * NS), []
    device = Device("flaky", "video", open=lambda clock: Flaky(clock, hangs=hangs, opened=opened))
    before = our_threads()
    most, over = 0, threading.Event()
    with LiveSource(device, "none", clock) as source:
        session = Session(FakeModel(), stream="cam", has_audio=False, clock=clock)
        engine = Engine([Feed(source, session)], Policy(live=True), clock=clock)
        runner = threading.Thread(target=engine.run)
        runner.start()

        def tick() -> None:
            while not over.is_set():
                try:
                    awaited = clock.next_awaited_ns(0.05)
                except TimeoutError:
                    awaited = clock.now_ns() + 20 * MS
                clock.advance(max(0, awaited - clock.now_ns()))

        ticker = threading.Thread(target=tick)
        ticker.start()
        pause = threading.Event()
        while len(opened) < 100:
            assert runner.is_alive()
            most = max(most, our_threads())
            pause.wait(0.01)
        engine.stop()
        runner.join(60)
        source.close()
        assert source.join(60)
        over.set()
        ticker.join(60)
    assert most <= before + 7, "one worker at a time, whatever became of those before"
    until(lambda: our_threads() <= before)
    report = engine.report
    assert report.captured == report.processed + sum(report.dropped.values())


def test_sound_and_pictures_go_on_without_each_other(running):
    rig = running(Rig("cam", has_audio=True))
    assert see(rig, 5) == [0, 1, 2, 3, 4], "no sound ever came"
    assert {r.audio for r in rig.sinks["cam"].results} <= {"ok", "lost"}
    rig.taps["cam"].sound(0.5)
    assert see(rig, 3) == [5, 6, 7]
    items = [type(item) for item in rig.sinks["cam"].noticed]
    assert AudioChunk in items
    assert VideoFrame not in items
